"""Ray for the time of a search: one on this machine that is started and ended, or a cluster that is there already."""

import contextlib
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import InternalError, InvalidError, SettingError
from training.quiet import LOG_LEVEL_VARIABLE
from training.search.settings import SearchSettings

_RAYS_OWN: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer one prints a banner even if told to say nothing
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is an exception here as everywhere, and no request to Tune.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    LOG_LEVEL_VARIABLE: "2",
}
"""Settings of Ray and TensorFlow, not ours; Ray reads them nowhere else, and its processes inherit them."""
_RAYS_ALONE: Final = {
    # By its name not for Linux; it is what makes Ray listen on the loopback address alone.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}
"""The same of a Ray on this machine alone."""
_QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
_ANSWER_S: Final = 10.0
_STARTS: Final = 3
"""Ray gives its processes half a minute, and none can say more, which is too little on a machine that is very busy."""


@contextlib.contextmanager
def ray_session(address: str | None, settings: SearchSettings) -> Iterator[None]:
    """Ray answers inside; no process of it is left afterwards, or of a cluster none of this search.

    Raises InvalidError for a cluster that cannot be joined, InternalError where Ray does not start.
    """
    _set_environment(is_alone=address is None)
    import ray

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        if address is None:
            _start(settings, folder)
        else:
            _join(address)
        try:
            yield
        finally:
            ray.shutdown()


def check_address(address: str) -> None:
    """Raises InvalidError where no cluster can answer; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InvalidError(f"--ray is {address!r}; expected auto, or HOST:PORT of a cluster's head")
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise InvalidError(f"--ray is {address!r}, and nobody answers there: {error}") from None


def _start(settings: SearchSettings, folder: str) -> None:
    """Raises InternalError."""
    import ray

    num_gpus = 0 if settings.device == "cpu" else None
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                "local",
                num_cpus=available_cpus(),
                num_gpus=num_gpus,
                include_dashboard=False,
                _temp_dir=folder,
                **_QUIET,
            )
        except Exception as error:  # of no class of its own where the time is up
            if attempt == _STARTS:
                raise InternalError(f"Ray does not start: {_first_line(error)}") from error
        else:
            return


def _join(address: str) -> None:
    """Raises InvalidError."""
    import ray

    try:
        ray.init(address, **_QUIET)
    except Exception as error:
        raise InvalidError(f"--ray is {address!r}, and no cluster answers there: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _set_environment(is_alone: bool) -> None:
    for name, value in (_RAYS_OWN | _RAYS_ALONE if is_alone else _RAYS_OWN).items():
        os.environ.setdefault(name, value)
    if is_alone:
        # Of this session only: Ray would write one into the home folder, where it outlives the search.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def resources(settings: SearchSettings) -> dict[str, float]:
    """What one trial takes, in Ray's words. Raises SettingError where no node has so much."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    has_gpus = settings.device != "cpu" and any(node.get("GPU", 0) for node in nodes)
    num_gpus = settings.gpus_per_trial if settings.gpus_per_trial is not None else float(has_gpus)
    wanted: dict[str, float] = {"CPU": settings.cpus_per_trial, "GPU": num_gpus}
    if not any(all(node.get(kind, 0) >= amount for kind, amount in wanted.items()) for node in nodes):
        most = ", ".join(f"{max(_amount(node, kind) for node in nodes):g} {kind}s" for kind in wanted)
        raise SettingError(
            f"--cpus-per-trial is {settings.cpus_per_trial} and --gpus-per-trial {num_gpus:g}; no node has so much,"
            f" the largest have {most}"
        )
    return {kind.lower(): amount for kind, amount in wanted.items() if amount}


def _amount(node: dict[str, Any], kind: str) -> float:
    return float(node.get(kind, 0))
