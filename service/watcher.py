"""Tells when something in the watched folders may have changed: by notification, or by polling where there is none.

A network file system notifies nobody of what other machines change, so there the files are looked at again and again.
Whatever is missed either way, such as a folder that was unmounted and is back, a look every some seconds finds.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

from watchfiles import awatch

from service.settings import WatchMode

LOOK_SECONDS: Final = 5.0
"""Longest time until a change is found that nobody notified."""
_POLL_MS: Final = 1000
_QUIET_MS: Final = 200
"""Changes are told once nothing has changed for so long, at the latest after _DEBOUNCE_MS."""
_DEBOUNCE_MS: Final = 1600
_RETRY_SECONDS: Final = 1.0

# As /proc/self/mountinfo names them; of fuse.* nobody knows what lies behind.
_NETWORK_TYPES: Final = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "virtiofs",
    "beegfs",
)
_MOUNTS: Final = Path("/proc/self/mountinfo")

_log = logging.getLogger("cnnsvc.watch")


async def changes(
    folders: Sequence[Path], mode: WatchMode, *, look_seconds: float = LOOK_SECONDS
) -> AsyncGenerator[None, None]:
    """An item whenever something may have changed, for ever;."""
    changed = asyncio.Event()
    watching = [asyncio.create_task(_watch(folder, mode, changed)) for folder in folders]
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look_seconds):
                    await changed.wait()
            changed.clear()
            yield
    finally:
        for task in watching:
            task.cancel()


async def _watch(folder: Path, mode: WatchMode, changed: asyncio.Event) -> None:
    while True:
        try:
            async for _ in awatch(
                folder,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_QUIET_MS,
                force_polling=mode == "poll" or (mode == "auto" and is_on_network(folder)),
                poll_delay_ms=_POLL_MS,
                ignore_permission_denied=True,
            ):
                changed.set()
        except (OSError, RuntimeError) as error:  # the folder is gone, or there are no watches left
            _log.debug("%s cannot be watched: %s", folder, error)
        await asyncio.sleep(_RETRY_SECONDS)


def is_on_network(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the file system may change without notice on this machine; False where the system does not say."""
    try:
        lines = os.fsdecode(mounts.read_bytes()).splitlines()
    except OSError:
        return False
    best, found = -1, ""
    resolved = path.resolve()
    for line in lines:
        # See proc_pid_mountinfo(5): … mount point … - file system type …
        fields, _, rest = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4]))
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), rest.split(" ")[0]
    return found in _NETWORK_TYPES or found.startswith("fuse.")
