"""training/quiet.py: notices held back, failures shown."""

import os

import pytest

from cnnsvc.errors import UnsupportedError
from training.quiet import LOG_LEVEL_VARIABLE, quiet_loading


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_LEVEL_VARIABLE, "")  # so that it is restored, whatever the test leaves behind
    monkeypatch.delenv(LOG_LEVEL_VARIABLE)


def test_what_native_code_prints_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Writes to the descriptor inside do not show, those after it do."""
    with quiet_loading():
        os.write(2, b"a notice\n")
        assert os.environ[LOG_LEVEL_VARIABLE] == "2"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_failure_shows_what_was_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    """When loading fails, the reason that was printed is not lost."""

    def fail() -> None:
        with quiet_loading():
            os.write(2, b"the reason\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "the reason\n"


def test_an_error_of_ours_needs_no_notices(capfd: pytest.CaptureFixture[str]) -> None:
    """What we refuse in one line is not drowned in what a library printed on the way."""

    def refuse() -> None:
        with quiet_loading():
            os.write(2, b"failed call to cuInit\n")
            raise UnsupportedError("no GPU here")

    with pytest.raises(UnsupportedError):
        refuse()
    assert capfd.readouterr().err == ""


def test_a_user_who_set_the_log_level_sees_everything(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's own variable switches this off and keeps its value."""
    monkeypatch.setenv(LOG_LEVEL_VARIABLE, "0")
    with quiet_loading():
        os.write(2, b"a notice\n")
    assert os.environ[LOG_LEVEL_VARIABLE] == "0"
    assert capfd.readouterr().err == "a notice\n"
