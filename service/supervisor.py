"""Several workers on one pair of ports: started, started again when one ends, and ended together.

It serves nothing itself: neither models nor gRPC are loaded here.
"""

import asyncio
import logging
import signal
from pathlib import Path

from cnnsvc.errors import CnnsvcError, InternalError
from service import state_dir
from service.ports import announce, reserved
from service.restart_policy import gives_up, num_short_lives, restart_delay_seconds
from service.settings import ServeSettings
from service.shared_metrics import forget_living
from service.worker_process import Life, WorkerProcess
from service.worker_task import error_of

_log = logging.getLogger("cnnsvc.supervisor")


def supervise(settings: ServeSettings) -> bool:
    """Serves until SIGTERM or SIGINT; False where a second one ended it at once.

    Raises CnnsvcError where no worker can begin.
    """
    with state_dir.opened(settings.state_dir) as folder, reserved(settings) as ports:
        announce(ports)
        return asyncio.run(_Supervisor(ports, folder).run())


class _Supervisor:
    def __init__(self, settings: ServeSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._workers: dict[int, WorkerProcess] = {}
        self._have_served: set[int] = set()
        self._stopping = asyncio.Event()
        self._is_killed = False
        self._error: CnnsvcError | None = None

    async def run(self) -> bool:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        await asyncio.gather(*(self._keep(index) for index in range(self._settings.workers)))
        if self._error:
            raise self._error
        _log.info("stopped")
        return not self._is_killed

    async def _keep(self, index: int) -> None:
        """Has a worker of this index alive until the stop."""
        num_short = 0
        is_replacement = False
        while not self._stopping.is_set():
            life = await self._live(index, is_replacement=is_replacement)
            if self._stopping.is_set():
                if life.status and not life.failed:
                    _log.error("worker %d did not end in order: %s", index, life, extra={"worker": index})
                return
            num_short = num_short_lives(num_short, life.seconds, has_served=life.has_served)
            if gives_up(num_short, is_reason_known=life.failed is not None, has_any_served=bool(self._have_served)):
                self._error = error_of(life.failed) if life.failed else _unexplained(index, num_short, life)
                self._stop()
                return
            delay_seconds = restart_delay_seconds(num_short)
            when = f"in {delay_seconds:.0f} s" if delay_seconds else "at once"
            message = "worker %d ended after %.1f s: %s; it is started again %s"
            _log.error(message, index, life.seconds, life, when, extra={"worker": index})
            is_replacement = True
            await self._pause(delay_seconds)

    async def _live(self, index: int, *, is_replacement: bool) -> Life:
        """One life of a worker, from its start to its end."""
        try:
            worker = await WorkerProcess.start(index, self._settings, self._folder, is_replacement=is_replacement)
        except OSError as error:  # no memory, no process left
            _log.error("worker %d cannot be started: %s", index, error, extra={"worker": index})
            return Life(0.0, None, False, 1)
        self._workers[index] = worker
        if self._stopping.is_set():
            worker.stop()
        life = await worker.until_end(lambda seconds: self._on_serving(index, seconds))
        del self._workers[index]
        forget_living(state_dir.metrics_dir(self._folder), index)
        return life

    def _on_serving(self, index: int, seconds: float) -> None:
        if index in self._have_served:
            _log.info("worker %d serves again after %.1f s", index, seconds, extra={"worker": index})
            return
        self._have_served.add(index)
        if len(self._have_served) == self._settings.workers:
            _log.info("all %d workers serve", self._settings.workers)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _on_signal(self) -> None:
        if not self._stopping.is_set():
            message = "stopping: after a pause of %d ms, calls in flight have %d ms"
            _log.info(message, self._settings.shutdown_pause_ms, self._settings.shutdown_grace_ms)
            self._stop()
        else:
            _log.warning("stopping at once: calls in flight are lost")
            self._is_killed = True
            for worker in self._workers.values():
                worker.kill()

    def _stop(self) -> None:
        self._stopping.set()
        for worker in self._workers.values():
            worker.stop()


def _unexplained(index: int, num_lives: int, life: Life) -> CnnsvcError:
    return InternalError(f"worker {index} ended {num_lives} times before it could serve, the last time by {life}")
