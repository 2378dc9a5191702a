"""cnnsvc and the tools that people use today, side by side on the same photographs, network and cores.

    python -m bench.compare --bundle BUNDLE [--photographs FOLDER] [--only NAMES] [--rounds 5] [--seconds 6] [--quick]

Each peer is installed in an environment of its own, tried in several settings, and measured in the best one; cnnsvc
runs as it comes. The systems take turns, in another order each round. Writes bench/peers.md and bench/peers.svg.
"""

import argparse
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench import report
from bench.environments import CACHE, OURS, REPOSITORY, InstallError, environment, installed_mib
from bench.load import LoadError, require_programs
from bench.measure import MAIN_CONCURRENCY, Task, WrongAnswersError, measure, throughput, try_setting
from bench.peer import PEERS, REFERENCE, Peer, Setting, StartError
from bench.photographs import SMALL, photographs, size_name
from bench.table import Round
from cnnsvc import pixels
from cnnsvc.bundle import open_bundle
from cnnsvc.engines.load import open_engine
from cnnsvc.errors import CnnsvcError
from cnnsvc.manifest import Manifest

FLOAT32: Final = "model.onnx"
INT8: Final = "model.int8.onnx"
_NUM_MEMORY_REQUESTS: Final = 10_000
_FAILURES: Final = (StartError, WrongAnswersError, LoadError)


@dataclass(frozen=True)
class Entrant:
    """A system that takes part."""

    peer: Peer
    python: Path
    setting: Setting | None


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the servers end too
    require_programs()
    try:
        manifest = open_bundle(arguments.bundle).manifest
    except CnnsvcError as error:
        raise SystemExit(f"--bundle: {error}") from None
    artifact = INT8 if (arguments.bundle / INT8).is_file() else FLOAT32
    skipped: dict[str, str] = {}
    peers = [peer for peer in _chosen(arguments.only) if _is_possible(peer, arguments.bundle, artifact, skipped)]
    with tempfile.TemporaryDirectory() as folder:
        task = _task(arguments, manifest, artifact, Path(folder))
        pythons = _install(peers, skipped)
        tuning = {each.name: _tune(each, pythons[each.name], task, arguments.tuning_seconds)
                  for each in peers if each.settings and each.name in pythons}  # fmt: skip
        entrants = _entrants(peers, pythons, tuning, skipped)
        rounds = _measure_rounds(entrants, task, arguments.rounds, skipped)
    result = report.Result(
        options=_options(arguments),
        bundle=f"network {manifest.network.name} at {manifest.image.width}×{manifest.image.height}",
        artifact=artifact,
        is_photographed=arguments.photographs is not None,
        photographs={size_name(size): [len(each) for each in jpegs] for size, jpegs in task.photographs.items()},
        seconds=arguments.seconds,
        num_memory_requests=task.num_memory_requests,
        rounds=rounds,
        systems=[each.peer.name for each in entrants],
        installed_mib={
            each.peer.name: installed_mib(each.peer.environment) for each in entrants if each.peer.environment
        },
        tuning={name: {str(setting): found for setting, found in tried} for name, tried in tuning.items()},
        chosen={each.peer.name: str(each.setting) for each in entrants if each.setting},
        skipped=skipped,
    )
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "measurements.json").write_bytes(msgspec.json.encode(result))
    report.write(result, arguments.output)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description="cnnsvc and its peers, side by side")
    parser.add_argument("--bundle", type=Path, required=True, help="trained bundle, such as models/flowers/1")
    parser.add_argument("--photographs", type=Path, help="folder of photographs; none: made-up pictures")
    parser.add_argument("--only", default="", help=f"some of the systems, by comma: {', '.join(p.name for p in PEERS)}")
    parser.add_argument("--rounds", type=int, help="5 by default, 1 with --quick")
    parser.add_argument("--seconds", type=int, help="of one load; 6 by default, 2 with --quick")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the figures mean little")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "bench", help="folder for peers.md and peers.svg")
    arguments = parser.parse_args()
    arguments.bundle = arguments.bundle.resolve()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (2 if arguments.quick else 6)
    arguments.tuning_seconds = 1 if arguments.quick else 4
    return arguments


def _options(arguments: argparse.Namespace) -> str:
    """The command line that gives these figures again, without this machine's paths."""
    words = ["--bundle BUNDLE", *(["--photographs FOLDER"] if arguments.photographs else [])]
    words += [f"--only {arguments.only}"] if arguments.only else []
    words += ["--quick"] if arguments.quick else []
    return " ".join([*words, f"--rounds {arguments.rounds}", f"--seconds {arguments.seconds}"])


def _chosen(only: str) -> list[Peer]:
    names = [peer.name for peer in PEERS]
    wanted = only.split(",") if only else names
    if unknown := set(wanted) - set(names):
        raise SystemExit(f"--only: {', '.join(sorted(unknown))} is no system; expected some of {', '.join(names)}")
    # All ratios are to the reference.
    return [peer for peer in PEERS if peer.name in wanted or peer.name == REFERENCE]


def _is_possible(peer: Peer, bundle: Path, artifact: str, skipped: dict[str, str]) -> bool:
    if peer.artifact and not (bundle / peer.artifact).is_file():
        skipped[peer.name] = f"the bundle has no {peer.artifact}"
        _say(f"{peer.name}: left out, {skipped[peer.name]}")
        return False
    # Where there is no INT8 it would be the reference once more.
    return not (peer.environment == OURS and peer.artifact == artifact)


def _task(arguments: argparse.Namespace, manifest: Manifest, artifact: str, folder: Path) -> Task:
    _say("photographs: being made")
    jpegs = photographs(arguments.photographs)
    shape = manifest.image
    engine = open_engine("openvino", arguments.bundle / artifact, num_threads=1)
    decode = pixels.decoder(manifest.pixels)
    images = [decode(jpeg, shape.height, shape.width, shape.channels) for jpeg in jpegs[SMALL]]
    scores_nk = np.concatenate([engine.run(image[None]) for image in images])
    engine.close()
    return Task(
        bundle=arguments.bundle,
        artifact=artifact,
        photographs=jpegs,
        best_classes=[manifest.class_names[best] for best in scores_nk.argmax(axis=1)],
        clearest=int(scores_nk.max(axis=1).argmax()),
        folder=folder,
        seconds=arguments.seconds,
        num_memory_requests=500 if arguments.quick else _NUM_MEMORY_REQUESTS,
    )


def _install(peers: list[Peer], skipped: dict[str, str]) -> dict[str, Path]:
    """The Python of each peer that can be installed."""
    pythons = {}
    for peer in peers:
        try:
            if peer.environment:
                _say(f"{peer.name}: environment")
            own = Path(sys.executable)  # the loop runs in this one
            pythons[peer.name] = environment(peer.environment, peer.requirements) if peer.environment else own
        except InstallError as error:
            skipped[peer.name] = f"cannot be installed: {error}"
            _say(f"{peer.name}: {skipped[peer.name]}")
    return pythons


def _tune(peer: Peer, python: Path, task: Task, seconds: float) -> list[tuple[Setting, float]]:
    """Images/s of each setting, the better of two tries, there and back; 0 where it fails."""
    best = dict.fromkeys(peer.settings, 0.0)
    for setting in (*peer.settings, *reversed(peer.settings)):
        try:
            found = try_setting(peer, python, setting, task, seconds)
            best[setting] = max(best[setting], found)
            _say(f"{peer.name}: {setting}: {found:.0f} images/s")
        except _FAILURES as error:
            _say(f"{peer.name}: {setting}: {error}")
    return list(best.items())


def _entrants(
    peers: list[Peer], pythons: dict[str, Path], tuning: dict[str, list[tuple[Setting, float]]], skipped: dict[str, str]
) -> list[Entrant]:
    entrants = []
    for peer in peers:
        setting, found = max(tuning.get(peer.name, [(None, 1)]), key=lambda tried: tried[1])
        if peer.name in pythons and found:
            entrants.append(Entrant(peer, pythons[peer.name], setting))
        elif peer.name in pythons:
            skipped[peer.name] = "answered in none of its settings"
    return entrants


def _measure_rounds(entrants: list[Entrant], task: Task, num_rounds: int, skipped: dict[str, str]) -> list[Round]:
    rounds = []
    for number in range(num_rounds):
        first = number * len(entrants) // num_rounds
        found: Round = {}
        where = f"round {number + 1} of {num_rounds}"
        for entrant in entrants[first:] + entrants[:first]:
            name = entrant.peer.name
            try:
                figures = measure(
                    entrant.peer, entrant.python, entrant.setting, task, with_memory=number == num_rounds - 1
                )
            except _FAILURES as error:
                skipped[f"{name}, {where}"] = _first_and_last_line(str(error))
                _say(f"{where}: {name}: {error}")
                continue
            found[name] = figures
            _say(f"{where}: {name}: {figures[throughput(SMALL, MAIN_CONCURRENCY)]:.0f} images/s")
        rounds.append(found)
    return rounds


def _first_and_last_line(text: str) -> str:
    """What failed, and the last that its log says."""
    lines = text.strip().splitlines()
    return " … ".join(dict.fromkeys(line.strip()[:200] for line in (lines[0], lines[-1])))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
