"""Puts bad bundles beside a good one that serves under load, and takes the folder away; prints what came of each.

    python -m bench.faults.bundles [--bundle models/NAME/VERSION] [--seconds 4]

Each case is a new version, except the last ones, which take away the folder of models: moved, emptied, and unmounted
(a real tmpfs, which needs root). Calls come over HTTP all the while. Ends with 1 where one of them fails or is answered
by another version, or where the reason is not shown in each of log, metric, model list, /readyz and `cnnsvc models`.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import msgspec

from bench.faults.swaps import publish
from cnnsvc import bundle
from cnnsvc.errors import Fault
from cnnsvc.manifest import MANIFEST_NAME, read_manifest, write_manifest
from service.access import Scope
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode
from tests.service.serving import falsify_golden_answers
from tests.tokens import write_tokens

_NAME: Final = "flowers"
_PATIENCE_SECONDS: Final = 20.0
_NUM_CALLERS: Final = 2


@dataclass(frozen=True)
class Case:
    name: str
    spoil: Callable[[Path], None]
    """Makes a version folder that is whole into one that must be refused."""
    fault: Fault


@dataclass
class Row:
    name: str
    seconds: float = 0.0
    """Until it was shown everywhere."""
    shown: str = ""
    problems: list[str] = field(default_factory=list)


def cases() -> list[Case]:
    return [
        Case("a file is damaged", _flip, Fault.HASH),
        Case(
            "a file is truncated",
            lambda path: os.truncate(_network(path), _network(path).stat().st_size // 2),
            Fault.HASH,
        ),
        Case("half of the files are copied", lambda path: _network(path).unlink(), Fault.HASH),
        Case("the manifest is not there yet", lambda path: (path / MANIFEST_NAME).unlink(), Fault.MANIFEST),
        Case("the manifest is cut", lambda path: os.truncate(path / MANIFEST_NAME, 300), Fault.MANIFEST),
        Case("the hash of a file is wrong", _wrong_hash, Fault.HASH),
        Case("the golden answers are wrong", falsify_golden_answers, Fault.GOLDEN),
        Case("the format is unknown", _unknown_format, Fault.FORMAT),
        Case("the network is no network", _no_network, Fault.ENGINE),
        Case("it is another model's", lambda path: _replace(path, name="trees"), Fault.NAME),
        Case("a class has another name", _other_class, Fault.CLASSES),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, help="default is a very small network")
    parser.add_argument("--seconds", type=float, default=4, help="that the folder is away")
    arguments = parser.parse_args()
    rows, num_answered, failures = run(arguments.bundle, arguments.seconds)
    sys.stdout.write(table(rows, num_answered, failures))
    sys.exit(1 if failures or any(row.problems for row in rows) else 0)


def run(source: Path | None, away_seconds: float) -> tuple[list[Row], int, list[str]]:
    """A row a case, the number of calls that were answered, and what was wrong with the others."""
    with tempfile.TemporaryDirectory() as work, _mounted(Path(work) / "models") as models_dir:
        tokens = write_tokens(Path(work), Scope.ADMIN)
        publish(models_dir, source)
        options = ("--models-dir", models_dir, *tokens.only_for_admin)
        with serving(*options) as server, _calls(server) as calls:
            rows = [_refused(server, tokens.token_file, models_dir, source, case) for case in cases()]
            rows += [_away(server, models_dir, away_seconds, name, go) for name, go in _absences()]
            rows.append(_unmounted(server, models_dir, away_seconds))
    return rows, calls.num_answered, calls.failures


def table(rows: list[Row], num_answered: int, failures: list[str]) -> str:
    lines = ["| fault | shown after s | reason shown |", "|---|---:|---|"]
    lines += [f"| {row.name} | {row.seconds:.1f} | {row.shown[:120]} |" for row in rows]
    lines.append(f"\n{num_answered} calls were answered by the version before, {len(failures)} failed.")
    lines += [f"- PROBLEM: {row.name}: {problem}" for row in rows for problem in row.problems]
    lines += [f"- PROBLEM: {failure}" for failure in failures[:5]]
    return "\n".join(lines) + "\n"


def _refused(server: Server, token: Path, models_dir: Path, source: Path | None, case: Case) -> Row:
    """Puts the bad version there in one step, as a rename would; it is gone again afterwards."""
    version = bundle.versions(models_dir / _NAME)[-1] + 1
    with tempfile.TemporaryDirectory(dir=models_dir.parent) as elsewhere:
        publish(Path(elsewhere), source)
        good = Path(elsewhere) / _NAME / "1"
        _replace(good, version=version)
        case.spoil(good)
        (hidden := models_dir / _NAME / f".{version}").mkdir()
        shutil.copytree(good, hidden, dirs_exist_ok=True)
        path = hidden.rename(models_dir / _NAME / str(version))
    row, started = Row(case.name), time.monotonic()
    missing = {"nothing was looked at"}
    while missing and time.monotonic() < started + _PATIENCE_SECONDS:
        time.sleep(0.1)
        missing = _not_shown(server, token, models_dir, version, case.fault, row)
    row.seconds = time.monotonic() - started
    row.problems += [f"not shown in {where}" for where in sorted(missing)]
    shutil.rmtree(path)
    return row


def _not_shown(server: Server, token: Path, models_dir: Path, version: int, fault: Fault, row: Row) -> set[str]:
    with httpx.Client(base_url=server.http_url, timeout=10) as client:
        refused = client.get("/api/v1/models").json()["refused"]
        reason = next((one["reason"] for one in refused if one["version"] == version), "")
        row.shown = " ".join(reason.replace(f"{models_dir}/", "").split())
        metric = f'cnnsvc_model_refused{{fault="{fault}",model="{_NAME}",version="{version}"}} 1.0'
        command = [CNNSVC, "models", "list", "--url", server.http_url, "--token-file", token]
        words = f"version {version} of model {_NAME} is refused"
        seen = {
            "log": any(words in line for line in list(server.log)),
            "metric": metric in client.get("/metrics").text,
            "model list": any((one["version"], one["fault"]) == (version, fault) for one in refused),
            "/readyz": any(words in warning for warning in client.get("/readyz").json()["warnings"]),
        }
        if all(seen.values()):
            listed = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False).stdout
            seen["cnnsvc models"] = f"{version} refused: {fault}" in listed
    return {where for where, is_shown in seen.items() if not is_shown}


def _absences() -> list[tuple[str, Callable[[Path], Callable[[], None]]]]:
    """Names, and what takes the content of a folder away and gives back what returns it."""

    def move(models_dir: Path) -> Callable[[], None]:
        model = models_dir / _NAME
        away = model.rename(models_dir / ".away")
        return lambda: (away.rename(model), None)[1]

    def empty(models_dir: Path) -> Callable[[], None]:
        (away := models_dir / ".away").mkdir()
        for version in bundle.versions(models_dir / _NAME):
            (models_dir / _NAME / str(version)).rename(away / str(version))

        def give_back() -> None:
            for folder in away.iterdir():
                folder.rename(models_dir / _NAME / folder.name)
            away.rmdir()

        return give_back

    return [("the model's folder is moved away", move), ("the model's folder is emptied", empty)]


def _away(server: Server, models_dir: Path, seconds: float, name: str, go: Callable[[Path], Callable[[], None]]) -> Row:
    row = Row(name)
    come_back = go(models_dir)
    _watch_folder(server, row, is_there=False)
    time.sleep(seconds)
    come_back()
    _watch_folder(server, row, is_there=True)
    return row


def _unmounted(server: Server, models_dir: Path, seconds: float) -> Row:
    """Another, empty file system over it, as where a network one is gone, and then off it again."""
    row = Row("its file system is unmounted")
    subprocess.run(["umount", "--lazy", str(models_dir)], check=True)
    _watch_folder(server, row, is_there=False)
    time.sleep(seconds)
    return row


def _watch_folder(server: Server, row: Row, *, is_there: bool) -> None:
    started = time.monotonic()
    with httpx.Client(base_url=server.http_url, timeout=10) as client:
        while time.monotonic() < started + _PATIENCE_SECONDS:
            ready = client.get("/readyz")
            told = f"cnnsvc_models_folder_readable {1.0 if is_there else 0.0}" in client.get("/metrics").text
            if told and bool(ready.json()["warnings"]) is not is_there:
                break
            time.sleep(0.1)
        else:
            row.problems.append(f"it was not noticed that the folder is {'back' if is_there else 'away'}")
    if ready.status_code != 200:
        row.problems.append(f"/readyz answered {ready.status_code}")
    if not is_there:
        row.seconds = time.monotonic() - started
        row.shown = next(iter(ready.json()["warnings"]), "")


@dataclass
class _Calls:
    num_answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def _calls(server: Server) -> Iterator[_Calls]:
    """Classifications one after the other in some threads; only version 1 may answer."""
    calls, is_over, image = _Calls(), threading.Event(), encode("JPEG")

    def work() -> None:
        with httpx.Client(base_url=server.http_url, timeout=10) as client:
            while not is_over.wait(0.005):
                try:
                    answer = client.post("/api/v1/classify", content=image)
                    if answer.status_code == 200 and answer.json()["version"] == 1:
                        calls.num_answered += 1
                    else:
                        calls.failures.append(f"{answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as error:
                    calls.failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work) for _ in range(_NUM_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """The folder on a file system of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        if folder.is_mount():
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _network(path: Path) -> Path:
    return path / "model.onnx"


def _flip(path: Path) -> None:
    content = bytearray(_network(path).read_bytes())
    content[len(content) // 2] ^= 0xFF
    _network(path).write_bytes(content)


def _wrong_hash(path: Path) -> None:
    manifest = read_manifest(path)
    write_manifest(path, msgspec.structs.replace(manifest, files={**manifest.files, "model.onnx": "0" * 64}))


def _unknown_format(path: Path) -> None:
    _replace(path, format=2)


def _no_network(path: Path) -> None:
    """Every file that an engine could take is noise, under right hashes."""
    manifest, files = read_manifest(path), {}
    for name in [name for name in manifest.files if name.endswith(".onnx")]:
        (path / name).write_bytes(noise := os.urandom(4096))
        files[name] = hashlib.sha256(noise).hexdigest()
    write_manifest(path, msgspec.structs.replace(manifest, files={**manifest.files, **files}))


def _other_class(path: Path) -> None:
    first, *others = read_manifest(path).class_names
    _replace(path, class_names=[f"{first}-2", *others])


def _replace(path: Path, **fields: object) -> None:
    write_manifest(path, msgspec.structs.replace(read_manifest(path), **fields))


if __name__ == "__main__":
    main()
