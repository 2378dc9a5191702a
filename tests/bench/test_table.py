"""Medians, ratios and tables of rounds in which a system may be absent."""

from bench import table
from bench.measure import CONCURRENCIES, MAIN_CONCURRENCY, throughput
from bench.photographs import SMALL

_NAME = throughput(SMALL, MAIN_CONCURRENCY)
_ROUNDS: list[table.Round] = [
    {"ours": {_NAME: 100.0}, "peer": {_NAME: 50.0}},
    {"ours": {_NAME: 10.0}, "peer": {_NAME: 6.0, "memory": 7.0}},
    {"ours": {_NAME: 80.0}},
    {"ours": {_NAME: 200.0}, "peer": {_NAME: 80.0}},
]


def test_medians() -> None:
    """The median is over the rounds that have the figure."""
    assert table.medians(_ROUNDS, "peer") == {_NAME: 50.0, "memory": 7.0}
    assert table.medians(_ROUNDS, "absent") == {}


def test_ratio_is_within_a_round() -> None:
    """0.5, 0.6 and 0.4: a slow round leaves its ratio alone, which a ratio of medians would not."""
    assert table.ratio(_ROUNDS, "peer", "ours", _NAME) == 0.5
    assert table.ratio(_ROUNDS, "absent", "ours", _NAME) is None


def test_throughput_table() -> None:
    """One row a system, with a dash where there is no figure."""
    head, _, ours, peer = table.throughput_table(_ROUNDS, ["ours", "peer"], "ours").splitlines()
    assert head.count("|") == ours.count("|") == 4 + 2 * len(CONCURRENCIES)
    assert ours.startswith("| ours | – | 90.0 | – | 1.00 | 10.0–200 |")
    assert peer.startswith("| peer | – | 50.0 | – | 0.50 | 6.00–80.0 |")


def test_chosen_setting_is_marked() -> None:
    """The setting that is measured is bold, one that failed says so."""
    found = table.tuning_table({"peer": {"1 process": 10.0, "2 processes": 0}}, {"peer": "1 process"})
    assert "| peer | **1 process** | 10.0 |\n| peer | 2 processes | failed |\n" in found
