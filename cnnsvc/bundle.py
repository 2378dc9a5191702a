"""The bundle on disk: models/<name>/<version>/, written whole or not at all, verified before use."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.errors import BundleError, Fault, InvalidError
from cnnsvc.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest

_STAGING_PREFIX: Final = ".staging-"


@dataclass(frozen=True)
class Bundle:
    path: Path
    manifest: Manifest


def open_bundle(path: Path) -> Bundle:
    """The bundle in this version folder, every hash checked. Raises BundleError."""
    manifest = read_manifest(path)
    needed = {name for name in manifest.artifacts if name.endswith(".onnx")}
    if unproven := needed - set(manifest.files):
        raise BundleError(f"{path / MANIFEST_NAME} has no hash of {', '.join(sorted(unproven))}")
    for name, expected in manifest.files.items():
        file = path / name
        try:
            if not file.resolve().is_relative_to(path.resolve()):
                raise BundleError(f"{path / MANIFEST_NAME} names a file outside the bundle: {name}", Fault.HASH)
            found = _sha256(file)
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            raise BundleError(f"{file} cannot be read: {error}", Fault.HASH) from None
        if found != expected:
            raise BundleError(f"{file} has SHA-256 {found}; the manifest says {expected}", Fault.HASH)
    return Bundle(path, manifest)


def versions(model_dir: Path) -> list[int]:
    """Version numbers in a model's folder, ascending; folders with other names are not versions."""
    if not model_dir.is_dir():
        return []
    return sorted(int(entry.name) for entry in model_dir.iterdir() if is_version(entry.name) and entry.is_dir())


def model_names(models_dir: Path) -> list[str]:
    """Names of the folders in it that a model can have, sorted: hidden ones and lost+found are none.

    Raises InvalidError where there is no such folder, or OSError.
    """
    if not models_dir.is_dir():
        raise InvalidError(f"{models_dir} is not a folder; expected one that holds <name>/<version>/{MANIFEST_NAME}")
    return sorted(entry.name for entry in models_dir.iterdir() if is_model_name(entry.name) and _is_folder(entry))


def is_model_name(name: str) -> bool:
    """Usable as a folder, a URL segment and a metric label; hidden names are not."""
    allowed = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return allowed and name[0].isalnum() and len(name) <= 64


def is_version(name: str) -> bool:
    """A whole number from 1, as gRPC's int64 holds it."""
    return name.isascii() and name.isdigit() and not name.startswith("0") and int(name) < 2**63


def check_model_name(name: str) -> None:
    """Raises InvalidError unless the name is usable as a folder, a URL segment and a metric label."""
    if not is_model_name(name):
        raise InvalidError(
            f"model name {name!r} is not allowed; expected up to 64 letters, digits, '-', '_' or '.',"
            " beginning with a letter or a digit"
        )


@contextlib.contextmanager
def staging(model_dir: Path) -> Iterator[Path]:
    """A hidden folder beside the versions to write a bundle into; removed on the way out unless published.

    The folder is locked while in use, so what a killed run left behind is recognised and removed by the next one.
    """
    _remove_abandoned(model_dir)
    folder, lock = _locked_folder(model_dir)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):  # it holds versions, or other runs' folders
            model_dir.rmdir()


def publish(folder: Path, manifest: Manifest) -> Path:
    """Hashes the staged files, writes the manifest last and renames the folder to the next free version: its path.

    Two trainings that publish at once get two numbers, since a folder cannot be renamed onto one with content.
    """
    model_dir = folder.parent
    files = {str(file.relative_to(folder)): _sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    folder.chmod(0o755)  # mkdtemp makes it private; the server may run as somebody else
    while True:
        version = _next_version(model_dir)
        write_manifest(folder, msgspec.structs.replace(manifest, version=version, files=files))
        target = model_dir / str(version)
        try:
            return folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def write_atomically(path: Path, text: str) -> None:
    """Replaces a file whole: a reader sees the old content or the new."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(text)
            file.close()
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _locked_folder(model_dir: Path) -> tuple[Path, int]:
    """A new hidden folder and the descriptor that locks it; made again if another run took it for abandoned."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            model_dir.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=model_dir))
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _next_version(model_dir: Path) -> int:
    """One more than the highest number in use, be it by a folder or by something else."""
    return max((int(entry.name) for entry in model_dir.iterdir() if is_version(entry.name)), default=0) + 1


def _is_folder(path: Path) -> bool:
    """Also where what it leads to must not be looked at: that is told when its versions are listed."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove_abandoned(model_dir: Path) -> None:
    for folder in model_dir.glob(f"{_STAGING_PREFIX}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or in use by a run that is alive
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
