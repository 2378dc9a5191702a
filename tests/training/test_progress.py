"""training/progress.py: what is said, and where."""

import io

import pytest
from rich.console import Console

from training.progress import Reporter, duration
from training.trained import EpochRecord

RECORD = EpochRecord(3, 0.5, 0.81234, 0.75, 0.7, 123.4, 30.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_epoch_is_one_plain_line_when_not_a_terminal() -> None:
    """The line holds epoch, speed, losses, both accuracies and the time left, without escape codes or wrapping."""
    out = io.StringIO()
    Reporter(Console(file=out, width=40)).epoch(RECORD, 10)
    assert out.getvalue() == (
        "epoch 3/10  123 images/s  training loss 0.5000 accuracy 0.812"
        "  validation loss 0.7500 accuracy 0.700  3m30s left\n"
    )


def test_text_is_printed_as_it_is() -> None:
    """File names with brackets are not taken for markup."""
    out = io.StringIO()
    Reporter(Console(file=out)).say("[red]/[1].png")
    assert out.getvalue() == "[red]/[1].png\n"


def test_the_plain_bar_speaks_now_and_then() -> None:
    """Without a terminal a long step says how far it is every ten seconds, and a silent one never."""
    out, clock = io.StringIO(), Clock()
    reporter = Reporter(Console(file=out), clock)
    with reporter.bar("decoding", 100) as advance, reporter.bar("training", 100, speaks=False) as silent:
        for _ in range(4):
            clock.now += 6
            advance(10)
            silent(10)
    assert out.getvalue() == "decoding 20/100\ndecoding 40/100\n"


def test_on_a_terminal_lines_stand_above_the_bar() -> None:
    """The live bar and the epoch lines share one console, and the bar is gone at the end."""
    out = io.StringIO()
    reporter = Reporter(Console(file=out, force_terminal=True, width=100))
    with reporter.bar("training", 10) as advance:
        advance(10)
        reporter.say("a line")
    assert "a line" in out.getvalue()
    assert "10/10" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Seconds, minutes and hours, two units at most."""
    assert duration(seconds) == text
