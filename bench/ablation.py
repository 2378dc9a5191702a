"""Trains networks 26 and 28 without and with each measure against overfitting, several seeds each.

    python -m bench.ablation DATA_FOLDER RESULTS.jsonl [--data cifar10] [--seeds 1 2 3 4 5] [--processes 2]

DATA_FOLDER holds flowers/{train,test} and cifar10/{train,test}. One line of JSON a run is added to the file; runs that
are there already are left out, so a stopped measurement goes on where it was. `python -m bench.ablation_table` prints.
"""

import argparse
import itertools
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.ablation_runs import IMAGE_SIZES, NETWORKS, SEEDS, VARIANTS

Job = tuple[str, int, str, str]
"""Data, seed, network, variant."""


def main() -> None:
    arguments = _arguments()
    done = set(_done(arguments.results))
    jobs = [job for job in _jobs(arguments) if job not in done]
    print(f"{len(jobs)} runs to do, {len(done)} there already", flush=True)
    # Each in a process of its own thread: TensorFlow on two cores spends more on one network than on two.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.processes) as pool, arguments.results.open("a") as file:
        work = zip(itertools.repeat(arguments.folder), jobs)
        for number, found in enumerate(pool.imap_unordered(_run, work, chunksize=1), 1):
            file.write(json.dumps(found) + "\n")
            file.flush()
            best = found["epochs"][found["best_epoch"] - 1]
            print(
                f"{number}/{len(jobs)} {found['data']} {found['network']} {found['variant']}, seed {found['seed']}:"
                f" validation {best['validation_accuracy']:.3f} test {best['test_accuracy']:.3f}",
                flush=True,
            )


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Seed by seed, so that a stopped measurement has whole rows of fewer seeds."""
    for seed, data, variant, network in itertools.product(
        arguments.seeds, arguments.data, arguments.variants, arguments.networks
    ):
        yield data, seed, network, variant


def _done(results: Path) -> Iterator[Job]:
    if results.exists():
        for line in results.read_text().splitlines():
            found = json.loads(line)
            yield found["data"], found["seed"], found["network"], found["variant"]


_loaded: dict[tuple[str, int], Any] = {}


def _run(work: tuple[Path, Job]) -> dict[str, Any]:
    from bench.ablation_runs import load, run

    folder, (data, seed, network, variant) = work
    if (data, seed) not in _loaded:
        _loaded.clear()
        _loaded[data, seed] = load(folder, data, seed)
    facts = {"data": data, "seed": seed, "network": network, "variant": variant}
    return facts | run(_loaded[data, seed], network, variant, seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", nargs="+", default=list(IMAGE_SIZES), choices=list(IMAGE_SIZES))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
