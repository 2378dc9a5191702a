"""Copies models from an object store into a folder of models: a version is there whole and checked, or not at all.

fsspec speaks to the store, so any of its URLs will do. Stores cannot rename folders: what is still being put there
lacks its manifest, or a file that the manifest names, and waits for the next time.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsvc import bundle
from cnnsvc.errors import BundleError, CnnsvcError, Fault, NotReadyError, SettingError, UnsupportedError
from cnnsvc.manifest import MANIFEST_NAME, read_manifest

_log = logging.getLogger("cnnsvc.fetch")


class Store:
    """A folder of models, <name>/<version>/, behind a URL."""

    def __init__(self, url: str) -> None:
        """Raises UnsupportedError where a package is absent, SettingError for a URL that means nothing."""
        self._url = url
        self._files, self._root = _opened(url)

    def fetch(self, models_dir: Path, num_newest: int) -> None:
        """Copies the newest whole versions of each model, as far as they are not there; what is there stays as it is.

        Raises NotReadyError where the store cannot be read, or a model in it has no whole version.
        """
        with self._reading():
            self._files.invalidate_cache()  # else what came since the last time would not be seen
            models = sorted(filter(bundle.is_model_name, self._folders(self._root)))
        if not models:
            raise NotReadyError(f"{self._url} holds no model; expected <name>/<version>/{MANIFEST_NAME}")
        bare = [model for model in models if not self._fetch_model(model, models_dir / model, num_newest)]
        if bare:
            raise NotReadyError(f"{self._url} has no whole version of {', '.join(bare)}")

    def _fetch_model(self, model: str, model_dir: Path, num_newest: int) -> int:
        """How many of the newest versions are there now; one that is not whole gives way to the one before it."""
        with self._reading():
            names = self._folders(f"{self._root}/{model}")
        num_there = 0
        for version in sorted(map(int, filter(bundle.is_version, names)), reverse=True):
            if num_there == num_newest:
                break
            if (model_dir / str(version)).exists() or self._copy(model, version, model_dir):
                num_there += 1
        return num_there

    def _copy(self, model: str, version: int, model_dir: Path) -> bool:
        """False where the version is not whole. It is copied under a hidden name that no server looks at."""
        started = time.monotonic()
        try:
            with bundle.staging(model_dir) as folder:
                self._copy_files(f"{self._root}/{model}/{version}", folder)
                bundle.open_bundle(folder)
                folder.chmod(0o755)  # it was made private; the server may run as somebody else
                folder.rename(model_dir / str(version))
        except BundleError as error:
            _log.warning("%s version %d is not whole: %s", model, version, error)
            return False
        _log.info("copied %s version %d in %.1f s", model, version, time.monotonic() - started)
        return True

    def _copy_files(self, source: str, folder: Path) -> None:
        """The manifest, then what it names."""
        self._copy_file(source, MANIFEST_NAME, folder)
        for name in read_manifest(folder).files:
            self._copy_file(source, name, folder)

    def _copy_file(self, source: str, name: str, folder: Path) -> None:
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{MANIFEST_NAME} names a file outside the bundle: {name}", Fault.HASH)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._reading():
            try:
                self._files.get_file(f"{source}/{name}", str(target))
            except FileNotFoundError:
                raise BundleError(f"{source}/{name} is not there", Fault.HASH) from None

    def _folders(self, folder: str) -> list[str]:
        """Names of the folders in it."""
        entries = self._files.ls(folder, detail=True)
        return [entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory"]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except CnnsvcError:
            raise
        except Exception as error:  # each kind of store has exceptions of its own
            raise NotReadyError(f"{self._url} cannot be read: {type(error).__name__}: {error}") from error


def fetch_for_ever(store: Store, models_dir: Path, num_newest: int, interval_seconds: int) -> None:
    """Fetches again and again; what goes wrong is logged, and tried again the next time."""
    while True:
        try:
            store.fetch(models_dir, num_newest)
        except CnnsvcError as error:
            _log.warning("%s", error)
        time.sleep(interval_seconds)


def _opened(url: str) -> tuple[Any, str]:
    """fsspec's file system, and the path of the URL in it."""
    try:
        import fsspec

        files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UnsupportedError(
            f"{url} needs a package: {error}; install it with: pip install 'cnnsvc[fetch]'"
        ) from None
    except ValueError as error:
        raise SettingError(f"{url} is no URL of a folder of models: {error}") from None
    return files, str(root).rstrip("/")
