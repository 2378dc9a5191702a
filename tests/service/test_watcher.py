"""Changes are noticed: by notification, by polling, and in the end by looking."""

import asyncio
import shutil
from pathlib import Path

import pytest

from service.settings import WatchMode
from service.watcher import changes, is_on_network


async def _noticed(folder: Path, mode: WatchMode, look_seconds: float) -> bool:
    """Whether a file that appears is told before `look_seconds` are over."""
    async with asyncio.timeout(20):
        told = changes([folder], mode, look_seconds=look_seconds)
        waiting = asyncio.ensure_future(anext(told))
        await asyncio.sleep(1.5)  # until it watches
        started = asyncio.get_running_loop().time()
        (folder / "new").mkdir()
        await waiting
        await told.aclose()
    return asyncio.get_running_loop().time() - started < look_seconds - 3


@pytest.mark.parametrize("mode", ["auto", "notify", "poll"])
@pytest.mark.slow
async def test_a_change_is_told(tmp_path: Path, mode: WatchMode) -> None:
    """Long before anybody would look."""
    assert await _noticed(tmp_path, mode, look_seconds=15)


async def test_a_folder_that_was_gone_is_watched_again(tmp_path: Path) -> None:
    """A folder that cannot be watched is no error: it is looked at, and watched once it is there."""
    folder = tmp_path / "models"
    told = changes([folder], "notify", look_seconds=0.2)
    async with asyncio.timeout(20):
        await anext(told)
        folder.mkdir()
        await anext(told)
        shutil.rmtree(folder)
        await anext(told)
    await told.aclose()


def test_network_file_systems(tmp_path: Path) -> None:
    """The innermost mount decides; without the system's word it is taken for local."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"22 21 0:40 / {tmp_path}/with\\040blank rw shared:1 - nfs4 server:/models rw\n"
        f"23 21 0:41 / {tmp_path}/with\\040blank/local rw - tmpfs tmpfs rw\n"
        f"24 21 0:42 / {tmp_path}/fuse rw - fuse.s3fs s3fs rw\n"
    )
    assert is_on_network(tmp_path / "with blank" / "models", mounts)
    assert not is_on_network(tmp_path / "with blank" / "local" / "models", mounts)
    assert is_on_network(tmp_path / "fuse", mounts)
    assert not is_on_network(tmp_path, mounts)
    assert not is_on_network(tmp_path, tmp_path / "nothing")
