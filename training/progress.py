"""What a person sees while training: bars on a terminal, plain lines everywhere else.

Everything goes to the console given, standard error unless told otherwise, so that standard output stays for results.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.trained import EpochRecord

Advance = Callable[[int], None]
"""Called with the number of images done since the last call."""

_PLAIN_INTERVAL_S: Final = 10.0


class Reporter:
    """Says what happens; `bar` also shows how far it is."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock

    def say(self, text: str) -> None:
        # No markup, no wrapping: file names hold brackets, and logs are searched by line.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def epoch(self, record: EpochRecord, num_epochs: int) -> None:
        """One line for a finished epoch, with the time left if no epoch is spared."""
        self.say(epoch_line(record, num_epochs))

    @contextlib.contextmanager
    def bar(self, title: str, total: int, *, speaks: bool = True) -> Iterator[Advance]:
        """A bar over `total` images on a terminal; elsewhere a line now and then, unless `speaks` is off."""
        if self._console.is_terminal:
            with self._live_bar(title, total) as advance:
                yield advance
        else:
            yield self._plain_bar(title, total) if speaks else lambda count: None

    @contextlib.contextmanager
    def _live_bar(self, title: str, total: int) -> Iterator[Advance]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda count: progress.advance(task, count)

    def _plain_bar(self, title: str, total: int) -> Advance:
        done, said_at = 0, self._clock()

        def advance(count: int) -> None:
            nonlocal done, said_at
            done += count
            if self._clock() - said_at >= _PLAIN_INTERVAL_S:
                said_at = self._clock()
                self.say(f"{title} {done}/{total}")

        return advance


def epoch_line(record: EpochRecord, num_epochs: int) -> str:
    left_s = (num_epochs - record.epoch) * record.seconds
    return (
        f"epoch {record.epoch}/{num_epochs}  {record.images_per_second:.0f} images/s"
        f"  training loss {record.training_loss:.4f} accuracy {record.training_accuracy:.3f}"
        f"  validation loss {record.validation_loss:.4f} accuracy {record.validation_accuracy:.3f}"
        f"  {duration(left_s)} left"
    )


def duration(seconds: float) -> str:
    """12s, 3m05s or 2h07m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
