"""A comparison in words, for a terminal: the two side by side, the images that speak for either, the verdict."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.comparison import Comparison, Contestant
from training.evaluation_text import print_unreadable, say
from training.printable import printable

_MAX_DIFFERING: Final = 10


def print_comparison(found: Comparison, console: Console) -> None:
    """All of it, the list of images cut."""
    say(console, f"{found.pairs.num_images:,} images in {found.folder}")
    console.print()
    console.print(_contestants(found.a, found.b))
    console.print()
    console.print(_pairs(found))
    console.print()
    low, high = found.interval
    say(
        console,
        f"accuracy of B less that of A: {100 * found.difference:+.1f} points,"
        f" 95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
    )
    console.print(Text(found.verdict, style="bold"))
    _print_differing(found, console)
    print_unreadable(found.unreadable, console)


def _contestants(a: Contestant, b: Contestant) -> Table:
    table = Table("", box=None, header_style="bold", pad_edge=False)
    for side in "AB":
        table.add_column(side, justify="right")
    rows = [
        ("model", [f"{one.model} version {one.version}" for one in (a, b)]),
        ("artifact", [one.artifact for one in (a, b)]),
        ("engine", [one.engine for one in (a, b)]),
        ("parameters", [f"{one.num_parameters:,}" for one in (a, b)]),
        ("size of the file", [f"{one.size_bytes / 2**20:.2f} MiB" for one in (a, b)]),
        ("median inference of an image", [f"{one.median_inference_ms:.2f} ms" for one in (a, b)]),
        ("accuracy", [f"{one.judgement.accuracy:.3f}" for one in (a, b)]),
        ("  95 % interval", ["{:.3f} to {:.3f}".format(*one.judgement.interval) for one in (a, b)]),
        ("balanced accuracy", [f"{one.judgement.balanced_accuracy:.3f}" for one in (a, b)]),
        ("macro F1", [f"{one.judgement.macro_f1:.3f}" for one in (a, b)]),
        ("log loss", [f"{one.judgement.log_loss:.3f}" for one in (a, b)]),
    ]
    for name, values in rows:
        table.add_row(name, *(Text(printable(value)) for value in values))
    return table


def _pairs(found: Comparison) -> Table:
    table = Table("images", box=None, header_style="bold", pad_edge=False)
    for heading in ("B right", "B wrong"):
        table.add_column(heading, justify="right")
    table.add_row("A right", f"{found.pairs.both_right:,}", f"{found.pairs.only_a:,}")
    table.add_row("A wrong", f"{found.pairs.only_b:,}", f"{found.pairs.both_wrong:,}")
    return table


def _print_differing(found: Comparison, console: Console) -> None:
    if not found.differing:
        return
    console.print(Text(f"\nimages that the two name differently: {len(found.differing):,}", style="bold"))
    for one in found.differing[:_MAX_DIFFERING]:
        say(console, f"  {one.file}: A {one.a.name} {one.a.score:.3f}, B {one.b.name} {one.b.score:.3f}")
    if len(found.differing) > _MAX_DIFFERING:
        say(console, f"  and {len(found.differing) - _MAX_DIFFERING:,} more; --json names all")
