"""The bad-input cases: what is sent over which door, and what must come back."""

import base64
import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx

from bench.bad_images import awkward_images, inflating_png
from cnnsvc.pb import classifier_pb2 as pb
from service.frontends.grpc_boundary import ERROR_KIND_KEY
from tests.encoded import encode

BODY_LIMIT_BYTES = 1024 * 1024
CLASSIFY = "/cnnsvc.v1.Classifier/Classify"
HTTP_STATUS = {"ok": 200, "invalid": 400, "too_large": 413, "not_found": 404, "unsupported": 415, "late": 504}
GRPC_STATUS = {"ok": "OK", "not_found": "NOT_FOUND", "late": "DEADLINE_EXCEEDED"}
GONE = "gone"
"""Status and kind where the client does not wait for an answer."""


@dataclass(frozen=True)
class Outcome:
    status: str
    kind: str
    message: str


class Connection:
    """One connection over each door; of one thread."""

    def __init__(self, http_url: str, grpc_address: str) -> None:
        self.http = httpx.Client(base_url=http_url, timeout=30)
        self.address = (httpx.URL(http_url).host, httpx.URL(http_url).port or 80)
        self.channel = grpc.insecure_channel(grpc_address, options=[("grpc.use_local_subchannel_pool", 1)])

    def close(self) -> None:
        self.http.close()
        self.channel.close()


@dataclass(frozen=True)
class Case:
    name: str
    door: str
    status: str
    kinds: tuple[str, ...]
    send: Callable[[Connection], Outcome]
    may_be_overloaded: bool = False
    """Where the deadline is so near that it is foreseen to pass, behind a good request."""

    def is_right(self, outcome: Outcome) -> bool:
        if self.may_be_overloaded and outcome.kind == "overloaded":
            return True
        return outcome.status == self.status and outcome.kind in self.kinds


def all_cases() -> list[Case]:
    return [*_image_cases(), *_parameter_cases(), *_http_cases(), *_grpc_cases()]


def _image_cases() -> Iterator[Case]:
    for name, (image, kind) in awkward_images().items():
        yield _http(name, kind, content=image)
        yield _grpc(name, kind, pb.ClassifyRequest(images=[image]))


def _parameter_cases() -> Iterator[Case]:
    image = encode("JPEG")
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("top_k 0", "invalid", {"top_k": 0}),
        ("top_k negative", "invalid", {"top_k": -1}),
        ("top_k above the class count", "invalid", {"top_k": 4}),
        ("unknown model", "not_found", {"model": "roses"}),
        ("unknown version", "not_found", {"version": 99}),
    ]
    for name, kind, parameters in wrong:
        yield _http(name, kind, params=parameters, content=image)
        yield _grpc(name, kind, pb.ClassifyRequest(images=[image], **parameters))


def _http_cases() -> Iterator[Case]:
    image, large = encode("JPEG"), bytes(BODY_LIMIT_BYTES + 100_000)
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n'
    in_json = {"content-type": "application/json"}
    words = json.dumps({"image": base64.b64encode(image).decode()}).encode()
    yield _http("body over the limit, with Content-Length", "too_large", content=large)
    yield Case(
        "body over the limit, chunked", "HTTP", "413", ("too_large",), lambda it: _post(it, content=_chunks(large))
    )
    yield _http("wrong content type", "unsupported", content=image, headers={"content-type": "text/html"})
    yield _http("multipart without boundary", "invalid", content=part, headers={"content-type": "multipart/form-data"})
    yield _http("multipart cut off", "invalid", content=part + image[:200], headers=multipart)
    yield _http("multipart, malformed", "invalid", content=b"--x\r\n: no name\r\n" + image, headers=multipart)
    yield _http("JSON, malformed", "invalid", content=words[:100], headers=in_json)
    yield _http("JSON of another shape", "invalid", content=b'{"pictures": []}', headers=in_json)
    yield _http("JSON nested 100,000 deep", "invalid", content=b"[" * 100_000, headers=in_json)
    yield _http("invalid base64", "invalid", content=b'{"image": "%%%"}', headers=in_json)
    yield _http(
        "body compressed with gzip", "unsupported", content=gzip.compress(image), headers={"content-encoding": "gzip"}
    )
    late = {"x-request-timeout-ms": "1"}
    slow = inflating_png()
    yield Case("expired deadline", "HTTP", "504", ("late",), lambda it: _post(it, content=slow, headers=late), True)
    yield Case("body that never ends, deadline 20 ms", "HTTP", "504", ("late",), _post_half)
    yield Case("client gone half-way through the body", "HTTP", GONE, (GONE,), lambda it: _leave(it, image, 0.5))
    yield Case("client gone before the answer", "HTTP", GONE, (GONE,), lambda it: _leave(it, inflating_png(), 1.0))


def _grpc_cases() -> Iterator[Case]:
    good = pb.ClassifyRequest(images=[encode("JPEG")])
    large = pb.ClassifyRequest(images=[bytes(BODY_LIMIT_BYTES + 100_000)])
    bomb = pb.ClassifyRequest(images=[bytes(4 * BODY_LIMIT_BYTES)])
    slow = pb.ClassifyRequest(images=[inflating_png()])
    yield _grpc("message over the limit", "", large, status="RESOURCE_EXHAUSTED")
    yield _grpc(
        "gzip message that inflates over the limit", "", bomb, status="RESOURCE_EXHAUSTED",
        compression=grpc.Compression.Gzip,
    )  # fmt: skip
    yield _grpc("message compressed with gzip", "ok", good, compression=grpc.Compression.Gzip)
    yield Case(
        "bytes that are no message", "gRPC", "INVALID_ARGUMENT", ("invalid",), lambda it: _call(it, b"\xff\xff\xff")
    )
    yield _grpc("no image", "invalid", pb.ClassifyRequest())
    # Where gRPC at the client is sooner than the server's answer, nobody names a kind.
    status = GRPC_STATUS["late"]
    yield Case(
        "expired deadline", "gRPC", status, ("late", ""),
        lambda it: _call(it, slow.SerializeToString(), timeout=0.001), True,
    )  # fmt: skip
    yield Case(
        "unknown method",
        "gRPC",
        "UNIMPLEMENTED",
        ("",),
        lambda it: _call(it, b"", method="/cnnsvc.v1.Classifier/Guess"),
    )
    yield Case("client gone before the answer", "gRPC", GONE, (GONE,), lambda it: _cancel(it, slow.SerializeToString()))


def _http(name: str, kind: str, **request: Any) -> Case:
    return Case(name, "HTTP", str(HTTP_STATUS[kind]), (kind,), lambda it: _post(it, **request))


def _grpc(name: str, kind: str, request: pb.ClassifyRequest, *, status: str = "", **options: Any) -> Case:
    status = status or GRPC_STATUS.get(kind, "INVALID_ARGUMENT")
    request_bytes = request.SerializeToString()
    return Case(name, "gRPC", status, (kind,), lambda it: _call(it, request_bytes, **options))


def _chunks(body: bytes) -> Iterator[bytes]:
    return (body[start : start + 65_536] for start in range(0, len(body), 65_536))


def _post(connection: Connection, **request: Any) -> Outcome:
    answer = connection.http.post("/api/v1/classify", **request)
    return _http_outcome(answer.status_code, answer.content)


def _http_outcome(status: int, body: bytes) -> Outcome:
    answer = json.loads(body)
    if status == 200:
        return Outcome("200", "ok", f"{answer['model']}, {len(answer['results'][0]['classes'])} classes")
    return Outcome(str(status), answer["kind"], answer["detail"])


def _call(connection: Connection, request: bytes, *, method: str = CLASSIFY, **options: Any) -> Outcome:
    call: Any = connection.channel.unary_unary(method)
    try:
        answer = pb.ClassifyResponse.FromString(call(request, **options))
    except grpc.RpcError as error:
        failed: Any = error
        kind = dict(failed.trailing_metadata() or ()).get(ERROR_KIND_KEY, "")
        return Outcome(failed.code().name, kind, failed.details())
    return Outcome("OK", "ok", f"{answer.model}, {len(answer.results[0].classes)} classes")


def _cancel(connection: Connection, request: bytes) -> Outcome:
    method: Any = connection.channel.unary_unary(CLASSIFY)
    call = method.future(request)
    with contextlib.suppress(grpc.FutureTimeoutError):
        call.result(timeout=0.005)
    call.cancel()
    return Outcome(GONE, GONE, "")


def _leave(connection: Connection, body: bytes, share: float) -> Outcome:
    """Sends a share of the body and closes the connection."""
    with socket.create_connection(connection.address) as sock:
        sock.sendall(_head(len(body)) + body[: int(share * len(body))])
    return Outcome(GONE, GONE, "")


def _post_half(connection: Connection) -> Outcome:
    with socket.create_connection(connection.address, timeout=10) as sock:
        sock.sendall(_head(1000, "X-Request-Timeout-Ms: 20\r\nConnection: close\r\n") + bytes(500))
        with sock.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
    return _http_outcome(int(head.split()[1]), body)


def _head(num_bytes: int, more: str = "") -> bytes:
    head = f"POST /api/v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {num_bytes}\r\n{more}\r\n"
    return head.encode("ascii")
