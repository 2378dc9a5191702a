"""A judgement in words: figures, a table of classes, the most frequent confusions, for a terminal."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.evaluate import ClassQuality
from training.evaluation import Evaluation
from training.inspection.findings import BadFile
from training.judgement import Judgement, accuracy_text
from training.printable import printable

_MAX_ROWS: Final = 40
_MAX_NAMED: Final = 10


def print_evaluation(found: Evaluation, console: Console) -> None:
    """All of it, long lists cut."""
    judgement = found.judgement
    say(console, f"{found.model} version {found.version}: {found.artifact} in {found.engine}")
    for line in _figures(found):
        say(console, line)
    console.print()
    console.print(classes_table(judgement.classes))
    if judgement.confusions:
        console.print(Text("\nmost frequent confusions", style="bold"))
        for one in judgement.confusions:
            say(
                console,
                f"  {one.true_name} taken for {one.predicted_name}: {one.num_images:,} ({one.share:.1%} of the class)",
            )
    print_unreadable(found.unreadable, console)


def summary(judgement: Judgement) -> str:
    """The mean figures in one line."""
    return (
        f"balanced accuracy {judgement.balanced_accuracy:.3f}, macro F1 {judgement.macro_f1:.3f},"
        f" log loss {judgement.log_loss:.3f}, largest class {judgement.majority_share:.3f}"
    )


def print_unreadable(unreadable: list[BadFile], console: Console) -> None:
    if not unreadable:
        return
    console.print(Text(f"\nunreadable, in none of the figures: {len(unreadable):,}", style="bold"))
    for one in unreadable[:_MAX_NAMED]:
        say(console, f"  {one.file}: {one.reason}")
    if len(unreadable) > _MAX_NAMED:
        say(console, f"  and {len(unreadable) - _MAX_NAMED:,} more; --json names all")


def classes_table(qualities: list[ClassQuality]) -> Table:
    """Those with images, the weakest first."""
    table = Table("class", box=None, header_style="bold", pad_edge=False)
    for heading in ("images", "given", "right", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    weakest = sorted((one for one in qualities if one.num_images), key=lambda one: one.f1)
    for one in weakest[:_MAX_ROWS]:
        shares = [f"{share:.3f}" for share in (one.precision, one.recall or 0.0, one.f1)]
        counts = [f"{count:,}" for count in (one.num_images, one.num_predicted, one.num_right)]
        table.add_row(Text(printable(one.name)), *counts, *shares)
    if len(weakest) > _MAX_ROWS:
        table.add_row(f"… {len(weakest) - _MAX_ROWS} better ones …")
    return table


def names_text(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def say(console: Console, text: str) -> None:
    # No markup, no wrapping: names hold brackets, and outputs are searched by line.
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _figures(found: Evaluation) -> Iterator[str]:
    judgement = found.judgement
    num_classes = sum(one.num_images > 0 for one in judgement.classes)
    yield f"{judgement.num_images:,} images of {num_classes} classes in {found.folder}"
    if found.ignored:
        yield "ignored by extension: " + ", ".join(f"{count:,} {name}" for name, count in found.ignored.items())
    if found.absent_classes:
        yield f"no image of {names_text(found.absent_classes)}: how good it is at these stays unknown"
    if found.same_as_training:
        yield (
            f"warning: the files of {names_text(found.same_as_training)} are the very ones that the network was trained"
            " and chosen on; how good it is at new images they cannot tell"
        )
    yield f"accuracy {accuracy_text(judgement)}"
    yield summary(judgement)
