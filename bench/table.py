"""Medians over rounds, ratios within a round, and the Markdown tables made of them."""

import statistics
from collections.abc import Sequence

from bench.measure import (
    CLIENT_CPU,
    COLD_START,
    CONCURRENCIES,
    MAIN_CONCURRENCY,
    MEMORY,
    MEMORY_LARGE,
    SERVER_CPU,
    Figures,
    latency,
    throughput,
)
from bench.photographs import NUM_OF_SIZE, SMALL, size_name

Round = dict[str, Figures]
"""By system; one that failed in this round is absent."""


def medians(rounds: Sequence[Round], system: str) -> Figures:
    """Of each figure over the rounds that have it."""
    found = [figures[system] for figures in rounds if system in figures]
    return {
        name: statistics.median(figures[name] for figures in found if name in figures)
        for name in dict.fromkeys(name for figures in found for name in figures)
    }


def ratio(rounds: Sequence[Round], system: str, reference: str, name: str) -> float | None:
    """Median of system / reference, each within its round: what slows a whole round cancels out."""
    ratios = [
        both[system][name] / both[reference][name]
        for both in rounds
        if name in both.get(system, {}) and name in both.get(reference, {})
    ]
    return statistics.median(ratios) if ratios else None


def spread(rounds: Sequence[Round], system: str, name: str) -> tuple[float, float] | None:
    """Smallest and largest over the rounds."""
    found = [figures[system][name] for figures in rounds if name in figures.get(system, {})]
    return (min(found), max(found)) if found else None


def throughput_table(rounds: Sequence[Round], systems: Sequence[str], reference: str) -> str:
    """Small photographs: images/s and latencies at each concurrency, and the ratio at the main one."""
    main = throughput(SMALL, MAIN_CONCURRENCY)
    head = ["system", *(f"images/s at {each}" for each in CONCURRENCIES), "of cnnsvc", "lowest–highest"]
    head += [f"p50 / p99 ms at {each}" for each in CONCURRENCIES]
    rows = []
    for system in systems:
        figures, extremes = medians(rounds, system), spread(rounds, system, main)
        row = [system, *(format_number(figures.get(throughput(SMALL, each))) for each in CONCURRENCIES)]
        row.append(_ratio(ratio(rounds, system, reference, main)))
        row.append("–".join(map(format_number, extremes)) if extremes else "")
        row += [_pair(figures.get(latency(50, each)), figures.get(latency(99, each))) for each in CONCURRENCIES]
        rows.append(row)
    return _table(head, rows)


def size_table(rounds: Sequence[Round], systems: Sequence[str], reference: str) -> str:
    names = {size_name(size): throughput(size, MAIN_CONCURRENCY) for size in NUM_OF_SIZE if size != SMALL}
    rows = []
    for system in systems:
        figures, row = medians(rounds, system), [system]
        for name in names.values():
            row += [format_number(figures.get(name)), _ratio(ratio(rounds, system, reference, name))]
        rows.append(row)
    return _table(["system", *(word for size in names for word in (f"{size}, images/s", "of cnnsvc"))], rows)


def cost_table(rounds: Sequence[Round], systems: Sequence[str], installed_mib: dict[str, float]) -> str:
    names = (SERVER_CPU, CLIENT_CPU, COLD_START, MEMORY, MEMORY_LARGE)
    rows = []
    for system in systems:
        figures = medians(rounds, system)
        installed = installed_mib.get(system)
        rows.append([system, *(format_number(figures.get(name)) for name in names), format_number(installed)])
    return _table(["system", *names, "installed, MiB"], rows)


def tuning_table(tuning: dict[str, dict[str, float]], chosen: dict[str, str]) -> str:
    rows = []
    for system, tried in tuning.items():
        for setting, images_per_second in tried.items():
            mark = "**" if setting == chosen[system] else ""
            rows.append(
                [system, f"{mark}{setting}{mark}", format_number(images_per_second) if images_per_second else "failed"]
            )
    return _table(["system", "setting", "images/s"], rows)


def format_number(value: float | None) -> str:
    """Three digits that mean something."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, the first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _pair(first: float | None, second: float | None) -> str:
    return "–" if first is None and second is None else f"{format_number(first)} / {format_number(second)}"
