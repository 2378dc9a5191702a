"""Images that end the process that decodes them are found, and the others decoded all the same."""

import os
import signal

import pytest

from bench.faults.decoded import CRASH, decode_all
from tests.encoded import encode

pytestmark = pytest.mark.slow


def deadly(number: int) -> bytes:
    """The second and the last image end the process."""
    if number in (1, 3):
        os.kill(os.getpid(), signal.SIGSEGV)
    return encode("PNG")


def test_culprits_are_found() -> None:
    """By number and with the signal, however many there are, the last image among them."""
    found = decode_all(4, deadly)
    assert found.culprits == {1: "exit code -11", 3: "exit code -11"}
    assert found.kinds[CRASH] == 2


def test_all_others_are_counted() -> None:
    """Each as decoded or refused."""
    found = decode_all(500)
    assert found.culprits == {}
    assert sum(found.kinds.values()) == 500
    assert found.kinds["ok"] > 50
