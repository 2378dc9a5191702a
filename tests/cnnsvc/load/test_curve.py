"""Latency curves in characters."""

from cnnsvc.load.curve import Curve, draw
from cnnsvc.load.record import CURVE_PERCENTILES


def _curve(label: str, low: float, high: float, num_values: int = 100_000) -> Curve:
    step = (high - low) / (len(CURVE_PERCENTILES) - 1)
    return Curve(label, [low + index * step for index in range(len(CURVE_PERCENTILES))], num_values)


def _dots(line: str) -> list[int]:
    return [column for column, character in enumerate(line) if 0x2800 < ord(character) <= 0x28FF]


def test_slower_is_higher() -> None:
    """Every curve ends at its label, milliseconds rise upwards, and percentages stand below."""
    lines = draw([_curve("fast", 1, 4), _curve("slow", 10, 90)]).plain.splitlines()
    slow, fast = (next(index for index, line in enumerate(lines) if line.endswith(name)) for name in ("slow", "fast"))
    assert slow < fast
    ticks = [float(line.split(" ms")[0]) for line in lines if " ms" in line]
    assert ticks == sorted(ticks, reverse=True)
    assert lines[-1].split() == ["50", "%", "90", "%", "99", "%", "99.9", "%", "99.99", "%"]


def test_a_curve_has_a_dot_in_every_column_that_it_reaches() -> None:
    """Steps are drawn as lines, so that nothing has gaps."""
    lines = draw([_curve("a", 1, 1000)]).plain.splitlines()
    columns = {column for line in lines for column in _dots(line)}
    assert columns == set(range(min(columns), max(columns) + 1))
    assert len(columns) == 64


def test_few_latencies_make_a_short_curve() -> None:
    """A hundred requests know nothing of the 99.9th percentile."""
    lines = draw([_curve("a", 1, 1000, num_values=100)]).plain.splitlines()
    assert len({column for line in lines for column in _dots(line)}) == 33


def test_equal_and_missing_latencies() -> None:
    """A flat curve is a line, labels of equal curves have rows of their own, and without any there is no picture."""
    lines = draw([_curve("a", 2, 2), _curve("b", 2, 2), _curve("c", 0, 0)]).plain.splitlines()
    assert [sum(line.endswith(f" {name}") for line in lines) for name in "abc"] == [1, 1, 1]
    assert draw([Curve("none", (), 0)]).plain == ""
