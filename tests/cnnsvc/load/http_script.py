"""An HTTP server that says what a test tells it, in the pieces that it tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from cnnsvc.load.target import Target

CLOSE = b""
"""A piece: close the connection."""
BODY = (
    b'{"model":"flowers","version":1,"results":[{"classes":[{"name":"rose","score":1.0}]}],'
    b'"timings":{"decode_ms":0.5,"queue_ms":0.25,"inference_ms":2.0,"total_ms":3.0}}'
)


def response(status: str = "200 OK", body: bytes = BODY, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


class HttpScript:
    """Answers the requests of all connections by one list of answers, each in pieces."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[int, bytes]] = []
        """The number of the connection, and what came over it."""
        self.num_connections = 0
        self.target = Target("http", "127.0.0.1", 0, "127.0.0.1:0")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        number = self.num_connections
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append((number, head + await reader.readexactly(length)))
                for piece in self._answers.pop(0):
                    if piece == CLOSE:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.002)  # so that pieces do not become one


@contextlib.asynccontextmanager
async def http_script(*answers: Sequence[bytes]) -> AsyncIterator[HttpScript]:
    script = HttpScript(answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        script.target = Target("http", "127.0.0.1", port, f"127.0.0.1:{port}")
        yield script
