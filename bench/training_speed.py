"""Images/s of a training, ours against the article's script in Keras' own layers and functions; prints Markdown.

    python -m bench.training_speed TRAIN_FOLDER [--epochs 3] [--rounds 3] [--seeds 100,101] [--only NAMES]

The entrants take turns, in the other order each second round, each training in a process of its own; the figures are
medians over all trainings. The clock says what a person waits; on a machine that others use too, the seconds of the
cores are steadier. With 20 epochs the accuracies mean something.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.training_entrants import BATCH_SIZE, ENTRANTS, OURS, SIDE


@dataclass(frozen=True)
class Training:
    """One of one entrant; a span is its seconds by the clock and those of the cores."""

    num_epochs: int
    num_training: int
    accuracies: list[float]
    """Of the validation, one an epoch."""
    precision: str
    start: tuple[float, float]
    """Loading of packages, reading of the data, building of the network: all before the fit."""
    first: tuple[float, float]
    """The first epoch, with the tracing of the graph."""
    others: tuple[float, float]
    """All other epochs, validation included."""

    def epoch_rates(self) -> list[float]:
        """Images/s and CPU ms an image, of the epochs after the first."""
        num_images = (self.num_epochs - 1) * self.num_training
        return [num_images / self.others[0], 1000 * self.others[1] / num_images]

    def first_rates(self) -> list[float]:
        return [self.num_training / self.first[0], 1000 * self.first[1] / self.num_training]

    def whole(self) -> list[float]:
        """Seconds by the clock and of the cores, from the start of the program to the trained network."""
        return [sum(parts) for parts in zip(self.start, self.first, self.others, strict=True)]


def main() -> None:
    arguments = _arguments()
    trainings: dict[str, list[Training]] = {name: [] for name in arguments.only}
    for round_number in range(arguments.rounds):
        order = arguments.only if round_number % 2 == 0 else arguments.only[::-1]
        for seed in arguments.seeds:
            for name in order:
                training = _train(name, arguments.train, arguments.epochs, seed)
                trainings[name].append(training)
                rate, cpu_ms = training.epoch_rates()
                print(f"{name}, seed {seed}: {rate:.1f} images/s, {cpu_ms:.1f} CPU ms an image", file=sys.stderr)
    _print(trainings, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.training_speed")
    parser.add_argument("train", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", default="100", help="of split, weights and order; by comma")
    parser.add_argument("--only", default=";".join(ENTRANTS), help=f"by semicolon, of: {'; '.join(ENTRANTS)}")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs: expected at least 2, since the first is shown by itself")
    arguments.seeds = [int(seed) for seed in arguments.seeds.split(",")]
    arguments.only = [name.strip() for name in arguments.only.split(";")]
    if unknown := set(arguments.only).difference(ENTRANTS):
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {'; '.join(ENTRANTS)}")
    return arguments


def _train(name: str, folder: Path, epochs: int, seed: int) -> Training:
    command = [sys.executable, "-m", "bench.training_entrants", name, str(folder), "--epochs", str(epochs)]
    done = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    began, fit, *ends = found["marks"]
    assert len(ends) == epochs, found
    return Training(
        num_epochs=epochs,
        num_training=found["num_training"],
        accuracies=found["accuracies"],
        precision=found["precision"],
        start=_span(began, fit),
        first=_span(fit, ends[0]),
        others=_span(ends[0], ends[-1]),
    )


def _span(begin: list[float], end: list[float]) -> tuple[float, float]:
    return end[0] - begin[0], end[1] - begin[1]


def _print(trainings: dict[str, list[Training]], arguments: argparse.Namespace) -> None:
    num_training = next(iter(trainings.values()))[0].num_training
    print(
        f"Network 26 at {SIDE}×{SIDE}, {num_training} images to train on, batches of {BATCH_SIZE}, {arguments.epochs}"
        f" epochs; medians of {arguments.rounds * len(arguments.seeds)} trainings, taking turns\n"
    )
    print(
        "| training | precision | images/s | CPU ms an image | first epoch: images/s | CPU ms | start to trained, s"
        " | CPU s | accuracy: best | last |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    rows = {name: _row(each) for name, each in trainings.items()}
    for name, (precision, figures, accuracies) in rows.items():
        cells = [_shown(figure) for figure in figures] + [f"{accuracy:.3f}" for accuracy in accuracies]
        print(f"| {name} | {precision} | {' | '.join(cells)} |")
    if OURS in rows:
        print(
            "\n| cnnsvc is so many times as fast as | by the clock | by the cores | start to trained | by the cores |"
        )
        print("|---|---:|---:|---:|---:|")
        for name in rows:
            if name != OURS:
                print(f"| {name} | {' | '.join(f'{ratio:.2f}' for ratio in _ratios(rows[OURS][1], rows[name][1]))} |")


def _row(trainings: list[Training]) -> tuple[str, list[float], list[float]]:
    figures = _medians(trainings, lambda one: [*one.epoch_rates(), *one.first_rates(), *one.whole()])
    accuracies = _medians(trainings, lambda one: [max(one.accuracies), one.accuracies[-1]])
    return trainings[0].precision, figures, accuracies


def _medians(trainings: list[Training], figures: Callable[[Training], list[float]]) -> list[float]:
    return [statistics.median(values) for values in zip(*map(figures, trainings), strict=True)]


def _ratios(ours: list[float], other: list[float]) -> list[float]:
    rate, cpu_ms, _, _, seconds, cpu_seconds = ours
    return [rate / other[0], other[1] / cpu_ms, other[4] / seconds, other[5] / cpu_seconds]


def _shown(figure: float) -> str:
    return f"{figure:.1f}" if figure < 100 else f"{figure:.0f}"


if __name__ == "__main__":
    main()
