"""The gRPC server on its port, opened anew where gRPC itself ends it.

grpcio's server (1.85 at least) decodes the :path of a call in its own main loop, and one that is not UTF-8 ends the
server: src/python/grpcio/grpc/_cython/_cygrpc/aio/server.pyx.pxi, _server_main_loop. Nothing of ours can refuse such a
call before that, so gRPC's calls in flight are lost, but the port is open again in a moment.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import grpc

from cnnsvc.errors import SettingError
from service.frontends.grpc_server import bind_grpc

_PAUSE_SECONDS: Final = 0.05
"""Before the port is tried again, which its last owner is just giving up."""

_log = logging.getLogger("cnnsvc.grpc")


class GrpcDoor:
    def __init__(
        self,
        build: Callable[[], grpc.aio.Server],
        credentials: Callable[[], grpc.ServerCredentials | None] = lambda: None,
    ) -> None:
        """`build` makes a server without a port, `credentials` what it encrypts with, again whenever one was ended."""
        self._build = build
        self._credentials = credentials
        self._server = build()
        self._address = ("", 0)
        self._keeping: asyncio.Task[None] | None = None
        self._is_stopping = False

    def bind(self, host: str, port: int) -> int:
        """The port that it will listen on. Raises SettingError where it cannot."""
        self._address = host, bind_grpc(self._server, host, port, self._credentials())
        return self._address[1]

    async def start(self) -> None:
        await self._server.start()
        self._keeping = asyncio.create_task(self._keep_open())

    async def stop(self, grace_seconds: float) -> None:
        """Calls in flight get so long to finish; the shortest of several calls holds."""
        self._is_stopping = True  # cancelling the task instead would cancel what the stop itself waits for
        await self._server.stop(grace_seconds)

    async def _keep_open(self) -> None:
        while True:
            try:
                await self._server.wait_for_termination()
            except Exception as error:  # gRPC logs its traceback
                _log.error("gRPC ended its server (%s); it is started anew", type(error).__name__)
            if self._is_stopping:
                return
            await self._reopen()

    async def _reopen(self) -> None:
        while not self._is_stopping:
            self._server = self._build()
            try:
                bind_grpc(self._server, *self._address, self._credentials())
            except SettingError:
                await self._server.stop(None)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                await self._server.start()
                return
