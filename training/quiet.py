"""Holds back what native libraries print while they load: TensorFlow's notices that there is no GPU, and the like.

TF_CPP_MIN_LOG_LEVEL alone does not do it: what TensorFlow 2.21 logs while it is imported, it logs before it reads that.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

from cnnsvc.errors import CnnsvcError

LOG_LEVEL_VARIABLE: Final = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_ONLY: Final = "2"
_ours: Final[dict[str, str]] = {}
"""What we have set."""


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Standard error is held back inside, and shown after all when the block fails without saying why in our words.

    Does nothing for a user who has set TensorFlow's own variable, since that is how one asks to see the notices.
    """
    if LOG_LEVEL_VARIABLE in os.environ:
        yield
        return
    _ours[LOG_LEVEL_VARIABLE] = _ERRORS_ONLY
    os.environ.update(_ours)  # TensorFlow's setting, not ours; it reads it nowhere else
    with _held_back_stderr():
        yield


def environment_as_given() -> dict[str, str]:
    """For a child process, which may hold back its own."""
    return {name: value for name, value in os.environ.items() if name not in _ours}


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except CnnsvcError:
            raise
        except Exception:
            held_back.seek(0)
            os.write(kept, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
