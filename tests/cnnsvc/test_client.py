"""Client and AsyncClient against a real server, and against one that misbehaves as it is told."""

import asyncio
import itertools
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from cnnsvc.classification import Outcome
from cnnsvc.client import AsyncClient, Classification, Client
from cnnsvc.client_channel import error_of_kind
from cnnsvc.client_messages import IMAGE_LIMIT_BYTES, IMAGES_PER_CALL
from cnnsvc.client_stream import WINDOW
from cnnsvc.errors import (
    CallCancelledError,
    CnnsvcError,
    ForbiddenError,
    InternalError,
    InvalidError,
    Kind,
    LateError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    TooLargeError,
    UnimplementedError,
)
from cnnsvc.local import LocalClassifier
from cnnsvc.model import ModelOptions
from cnnsvc.pb import classifier_pb2 as pb
from cnnsvc.retry_info import STATUS_KEY, status_with_retry
from tests.bundles import CLASS_NAMES, write_bundle
from tests.cnnsvc.driven_client import DrivenClient
from tests.cnnsvc.scripted_server import RESULT, Requests, ScriptedServer, answer_all, scripted
from tests.e2e.server import Server, serving
from tests.encoded import encode
from tests.service.frontends.http_door import until

MakeClient = type[Client] | type[DrivenClient]

BOTH = pytest.mark.parametrize("client_of", [Client, DrivenClient], ids=["threads", "asyncio"])
IMAGES = [encode("PNG", seed=seed) for seed in range(4)]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Server]:
    with serving("--models-dir", models_dir, "--engine", "openvino") as server:
        yield server


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    with scripted() as script:
        yield script


@BOTH
def test_an_image_is_classified(client_of: MakeClient, server: Server, models_dir: Path, tmp_path: Path) -> None:
    """Bytes and paths give what the bundle itself gives, typed and frozen, with the server's timings."""
    local = LocalClassifier(models_dir / "flowers" / "1", ModelOptions("openvino"))
    file = tmp_path / "rose.png"
    file.write_bytes(IMAGES[0])
    with client_of(server.grpc_address) as client:
        found = client.classify(IMAGES[0])
        assert found == local.classify(IMAGES[0]) == client.classify(file) == client.classify(str(file))
        assert len(client.classify(file, 2).classes) == 2
    assert (found.model, found.version) == ("flowers", 1)
    assert found.best == found.classes[0] == (found.best.name, found.best.score)
    assert found.timings is not None
    assert found.timings.total_ms > found.timings.inference_ms > 0
    with pytest.raises(AttributeError):
        found.model = "roses"  # type: ignore[misc]  # what is tested
    local.close()


@BOTH
def test_many_images_come_in_order(client_of: MakeClient, server: Server) -> None:
    """More images than one call may hold are several calls, and the answers stand in the order of the images."""
    with client_of(server.grpc_address) as client:
        one_by_one = [client.classify(image) for image in IMAGES]
        assert client.classify_many(IMAGES * 33) == one_by_one * 33
        assert client.classify_many([]) == []
        with pytest.raises(InvalidError, match=r"^image 2 of 2: not an image"):
            client.classify_many([IMAGES[0], b"hello"])
        with pytest.raises(InvalidError, match=r"^of the images after the first 128: image 2 of 2: not an image"):
            client.classify_many([IMAGES[0]] * (IMAGES_PER_CALL + 1) + [b"hello"])


@BOTH
@pytest.mark.parametrize("in_order", [False, True])
def test_a_stream_gives_every_image_its_outcome(
    client_of: MakeClient, server: Server, tmp_path: Path, in_order: bool
) -> None:
    """Good images, bad ones, a missing file and one too large each have an outcome by the caller's key."""
    bad: dict[int, Any] = {50: b"hello", 100: tmp_path / "missing.png", 150: b"x" * (IMAGE_LIMIT_BYTES + 1)}
    with client_of(server.grpc_address) as client:
        expected = [client.classify(image, 1) for image in IMAGES]
        images = [(number, bad.get(number, IMAGES[number % 4])) for number in range(300)]
        pairs = list(client.classify_stream(images, 1, in_order=in_order))
    found = dict(pairs)
    assert len(pairs) == len(found) == 300
    assert not in_order or list(found) == list(range(300))
    assert "not an image: 5 bytes" in str(found.pop(50))
    assert str(found.pop(100)) == "cannot be read: No such file or directory"
    assert isinstance(found.pop(150), TooLargeError)
    assert all(outcome == expected[number % 4] for number, outcome in found.items())


@BOTH
def test_bad_images_alone_end_too(client_of: MakeClient, server: Server, tmp_path: Path) -> None:
    """More unreadable files than the window holds, and no image at all, are streams that end."""
    with client_of(server.grpc_address) as client:
        outcomes = list(client.classify_stream((number, tmp_path / "missing") for number in range(3 * WINDOW)))
        assert len(outcomes) == 3 * WINDOW
        assert all(isinstance(outcome, InvalidError) for _, outcome in outcomes)
        assert list(client.classify_stream([])) == []


@BOTH
def test_a_folder(client_of: MakeClient, server: Server, tmp_path: Path) -> None:
    """Every image file below the folder has an outcome by its path; a folder without images is an error."""
    files = [tmp_path / "a" / "1.png", tmp_path / "b.jpg"]
    (tmp_path / "a").mkdir()
    files[0].write_bytes(IMAGES[0])
    files[1].write_text("hello")
    with client_of(server.grpc_address) as client:
        found = list(client.classify_folder(tmp_path, in_order=True))
        with pytest.raises(InvalidError, match="is not there"):
            client.classify_folder(tmp_path / "missing")
    assert [file for file, _ in found] == files
    assert isinstance(found[0][1], Classification)
    assert isinstance(found[1][1], InvalidError)


@BOTH
def test_models_and_readiness(client_of: MakeClient, server: Server) -> None:
    """Models are described as the manifest does; the server is ready, and one that is not there is not."""
    with client_of(server.grpc_address) as client:
        model = client.get_model()
        assert client.list_models() == [model]
        assert client.is_ready()
    assert (model.name, model.version, model.is_default) == ("flowers", 1, True)
    assert (model.class_names, model.num_parameters) == (tuple(CLASS_NAMES), 100)
    with client_of("127.0.0.1:1") as nobody:
        assert not nobody.is_ready()


@BOTH
def test_errors_are_typed_by_kind(client_of: MakeClient, server: Server, tmp_path: Path) -> None:
    """Each failure raises the error of its kind with the server's own words."""
    with client_of(server.grpc_address, model="roses") as client, pytest.raises(NotFoundError, match=r"^model 'roses'"):
        client.get_model()
    with client_of(server.grpc_address) as client:
        with pytest.raises(InvalidError, match=r"^top_k is 9; allowed are 1 to 3"):
            client.classify(IMAGES[0], 9)
        with pytest.raises(TooLargeError, match="a message can hold"):
            client.classify(b"x" * (IMAGE_LIMIT_BYTES + 1))
        with pytest.raises(InvalidError, match="cannot be read"):
            client.classify(tmp_path / "missing.png")


@BOTH
@pytest.mark.slow
def test_an_unreachable_server_is_named(client_of: MakeClient) -> None:
    """Nobody at the address is an error with the address, after a few tries; in a stream it is every outcome."""
    started = time.monotonic()
    with client_of("127.0.0.1:1") as client:
        with pytest.raises(NotReadyError, match=r"^127\.0\.0\.1:1 cannot be reached: .*refused"):
            client.classify(IMAGES[0])
        outcomes = [outcome for _, outcome in client.classify_stream((number, b"x") for number in range(1000))]
    assert len(outcomes) == 1000
    assert {type(outcome) for outcome in outcomes} == {NotReadyError}
    assert time.monotonic() - started < 20


@BOTH
def test_a_late_answer_is_an_error(client_of: MakeClient, script: ScriptedServer) -> None:
    """timeout_ms bounds the wait for a call, and is sent with every image of a stream."""
    timeouts = []

    def note(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        for request in requests:
            timeouts.append(request.timeout_ms)
            yield pb.ClassifyStreamResponse(id=request.id, error=pb.StreamError(kind="late", message="in vain"))

    script.before = lambda num_calls, context: time.sleep(0.5 if num_calls == 1 else 0)
    script.stream = note
    with client_of(script.address, timeout_ms=100) as client:
        with pytest.raises(LateError, match="gave no answer before the deadline"):
            client.classify(b"x")
        [(_, outcome)] = client.classify_stream([("a", b"x")])
    assert isinstance(outcome, LateError)
    assert timeouts == [100]


@BOTH
@pytest.mark.parametrize("num_bytes", [1, 3_000_000])
@pytest.mark.slow
def test_unavailable_is_tried_again(client_of: MakeClient, script: ScriptedServer, num_bytes: int) -> None:
    """A call, of any size, that is UNAVAILABLE twice is answered the third time; so is what goes before a stream."""

    def refuse_twice(num_calls: int, context: Any) -> None:
        if num_calls % 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "come back later")

    script.before = refuse_twice
    with client_of(script.address) as client:
        assert client.classify(b"x" * num_bytes).model == "flowers"
        assert script.num_calls == 3
        outcomes = [outcome for _, outcome in client.classify_stream((key, b"x" * num_bytes) for key in range(3))]
    assert script.num_calls == 7
    assert all(isinstance(outcome, Classification) for outcome in outcomes)


@BOTH
@pytest.mark.slow
def test_the_tries_are_few(client_of: MakeClient, script: ScriptedServer) -> None:
    """A server that stays UNAVAILABLE is asked four times."""
    script.before = lambda num_calls, context: context.abort(grpc.StatusCode.UNAVAILABLE, "never")
    with client_of(script.address) as client, pytest.raises(NotReadyError, match="never"):
        client.classify(b"x")
    assert script.num_calls == 4


@BOTH
@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", OverloadedError),
        (grpc.StatusCode.INTERNAL, "", InternalError),
        (grpc.StatusCode.UNKNOWN, "", InternalError),
        (grpc.StatusCode.PERMISSION_DENIED, "", ForbiddenError),
        (grpc.StatusCode.UNIMPLEMENTED, "", UnimplementedError),
        (grpc.StatusCode.INVALID_ARGUMENT, "", InvalidError),
        (grpc.StatusCode.INVALID_ARGUMENT, "too_large", TooLargeError),
        (grpc.StatusCode.UNKNOWN, "overloaded", OverloadedError),
        (grpc.StatusCode.UNKNOWN, "of tomorrow", InternalError),
    ],
)
def test_nothing_else_is_tried_again(
    client_of: MakeClient, script: ScriptedServer, code: grpc.StatusCode, kind: str, error: type[CnnsvcError]
) -> None:
    """Other failures are raised at once: by the kind that the server tells, by the status where it tells none."""
    metadata = (("cnnsvc-error-kind", kind),) if kind else ()

    def refuse(num_calls: int, context: Any) -> None:
        context.set_trailing_metadata(metadata)
        context.abort(code, "what came")

    script.before = refuse
    with client_of(script.address) as client, pytest.raises(error, match="what came") as failed:
        client.classify(b"x")
    assert type(failed.value) is error
    assert script.num_calls == 1


@BOTH
@pytest.mark.parametrize("seconds", [None, 2.5])
def test_overload_says_when_to_come_again(client_of: MakeClient, script: ScriptedServer, seconds: float | None) -> None:
    """The server's hint is in the error, a second where it gave none; the client does not try again by itself."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    def refuse(num_calls: int, context: Any) -> None:
        if seconds is not None:
            context.set_trailing_metadata(((STATUS_KEY, status_with_retry(code, "much waits", seconds)),))
        context.abort(code, "much waits")

    script.before = refuse
    with client_of(script.address) as client, pytest.raises(OverloadedError, match="much waits") as failed:
        client.classify(b"x")
    assert failed.value.retry_after_seconds == (seconds or 1.0)
    assert script.num_calls == 1


def test_every_kind_has_an_error() -> None:
    """No kind that a server may tell is lost on the way to the caller."""
    assert [error_of_kind(kind, "").kind for kind in Kind] == list(Kind)


@BOTH
def test_a_server_that_comes_up_late(client_of: MakeClient) -> None:
    """A call made shortly before its server listens is answered."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    with client_of(address) as client, ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.classify, b"x")
        time.sleep(0.2)
        with scripted(address):
            assert call.result().model == "flowers"


@BOTH
@pytest.mark.parametrize("in_order", [False, True])
def test_a_server_that_dies_in_a_stream(client_of: MakeClient, script: ScriptedServer, in_order: bool) -> None:
    """What was answered is given, all that is left has the failure as its outcome; nothing hangs or comes twice."""

    def die_after_100(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        for number, answer in enumerate(answer_all(requests, context)):
            if number == 100:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            if number != 70:
                yield answer

    script.stream = die_after_100
    with client_of(script.address) as client:
        pairs = list(client.classify_stream(((key, b"x") for key in range(1000)), in_order=in_order))
    outcomes: dict[int, Outcome] = dict(pairs)
    assert len(pairs) == 1000
    assert set(outcomes) == set(range(1000))
    assert not in_order or list(outcomes) == list(range(1000))
    good = [key for key, outcome in outcomes.items() if isinstance(outcome, Classification)]
    assert sorted(good) == [*range(70), *range(71, 100)]
    left = [outcome for outcome in outcomes.values() if isinstance(outcome, NotReadyError)]
    assert len(left) == 901
    assert all("cannot be reached: " in str(outcome) for outcome in left)
    assert script.num_calls == 2


@BOTH
def test_a_server_that_ends_too_soon(client_of: MakeClient, script: ScriptedServer) -> None:
    """A stream ended well without all answers, and an answer that nobody can read, are errors and not a hang."""
    script.stream = lambda requests, context: iter(())
    with client_of(script.address) as client:
        outcomes = [outcome for _, outcome in client.classify_stream((key, b"x") for key in range(100))]
        assert {type(outcome) for outcome in outcomes} <= {InternalError, NotReadyError}
        assert len(outcomes) == 100
        script.stream = lambda requests, context: iter([pb.ClassifyStreamResponse(id="what?", result=RESULT)])
        [(_, outcome)] = client.classify_stream([(1, b"x")])
        assert "cannot be read" in str(outcome)


@BOTH
@pytest.mark.slow
def test_a_server_that_hangs_in_a_stream(client_of: MakeClient, script: ScriptedServer) -> None:
    """A server that is there and answers no more is given up a little after the time that an image has."""
    is_given_up = threading.Event()

    def hang_after_10(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        context.add_callback(is_given_up.set)
        yield from itertools.islice(answer_all(requests, context), 10)
        is_given_up.wait(20)

    script.stream = hang_after_10
    with client_of(script.address, timeout_ms=100) as client:
        outcomes = [outcome for _, outcome in client.classify_stream((key, b"x" * 200_000) for key in range(200))]
    assert [type(outcome) for outcome in outcomes] == [Classification] * 10 + [LateError] * 190
    assert is_given_up.wait(5)


@pytest.mark.slow
@BOTH
def test_few_images_are_held(client_of: MakeClient, script: ScriptedServer) -> None:
    """Of 10,000 images never more than the window are taken and not handed back, whoever is slow."""
    taken = 0

    def images() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for key in range(10_000):
            taken += 1
            yield key, b"x"

    with client_of(script.address) as client:
        for given, _ in enumerate(client.classify_stream(images()), start=1):
            assert taken - given <= WINDOW
            if given == 100:
                time.sleep(0.3)
                assert taken - given <= WINDOW
    assert given == taken == 10_000


@BOTH
def test_a_caller_who_stops_early(client_of: MakeClient, server: Server) -> None:
    """Leaving the loop ends the stream on the server, and the threads that served it."""
    before = threading.active_count()
    with client_of(server.grpc_address) as client:
        for number, _ in enumerate(client.classify_stream((key, IMAGES[0]) for key in range(10_000))):
            if number == 100:
                break
    for _ in range(100):
        metrics = httpx.get(f"{server.http_url}/metrics").text
        if 'cnnsvc_requests_in_flight{protocol="grpc"} 0.0' in metrics and threading.active_count() <= before + 1:
            return  # gRPC's own polling thread for asyncio stays
        time.sleep(0.05)
    raise AssertionError(f"{threading.enumerate()} {metrics}")


@BOTH
def test_a_failing_iterable_raises(client_of: MakeClient, script: ScriptedServer) -> None:
    """The caller's own error comes through after the outcomes of the images before it."""

    def images() -> Iterator[tuple[int, bytes]]:
        yield from ((key, b"x") for key in range(10))
        raise KeyError("mine")

    given: list[tuple[int, Outcome]] = []
    with client_of(script.address) as client, pytest.raises(KeyError, match="mine"):
        given.extend(client.classify_stream(images()))
    assert len(given) == 10


def test_a_client_closed_in_a_stream(script: ScriptedServer) -> None:
    """Closing the client gives the images that are left a cancelled outcome."""
    client = Client(script.address)
    outcomes = []
    for key, outcome in client.classify_stream((key, b"x") for key in range(1000)):
        outcomes.append(outcome)
        if key == 10:
            client.close()
    assert len(outcomes) == 1000
    assert isinstance(outcomes[-1], CallCancelledError)


def test_one_client_serves_many_threads(server: Server) -> None:
    """Eight threads with one client get the answers of their own images."""
    with Client(server.grpc_address) as client, ThreadPoolExecutor(8) as threads:
        expected = [client.classify(image) for image in IMAGES]
        assert list(threads.map(client.classify, IMAGES * 50)) == expected * 50
        streams = [threads.submit(list, client.classify_stream(enumerate(IMAGES), in_order=True)) for _ in range(8)]
        assert all([outcome for _, outcome in stream.result()] == expected for stream in streams)


async def test_asyncio_streams_from_an_async_iterable(server: Server) -> None:
    """Images may come from an async generator, and other work goes on beside the stream."""

    async def images() -> AsyncIterator[tuple[str, bytes]]:
        for number, image in enumerate(IMAGES):
            await asyncio.sleep(0.01)
            yield f"image {number}", image

    async with AsyncClient(server.grpc_address) as client:
        expected = await asyncio.gather(*(client.classify(image) for image in IMAGES))
        found = {key: outcome async for key, outcome in client.classify_stream(images())}
    assert found == {f"image {number}": outcome for number, outcome in enumerate(expected)}


async def test_a_cancelled_task_cancels_its_stream(script: ScriptedServer) -> None:
    """Cancelling the task that reads a stream ends it at once, and leaves no task behind."""
    is_started = threading.Event()

    def never(requests: Requests, context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        is_started.set()
        yield from (answer for answer in answer_all(requests, context) if answer.id == "no such id")

    async def read() -> None:
        async for _ in client.classify_stream((key, b"x") for key in range(10)):
            pass

    script.stream = never
    before = asyncio.all_tasks()
    async with AsyncClient(script.address) as client:
        reading = asyncio.create_task(read())
        await asyncio.to_thread(is_started.wait, 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await until(lambda: asyncio.all_tasks() == before)
        script.stream = answer_all
        [(_, outcome)] = [pair async for pair in client.classify_stream([("next", b"x")])]
        assert isinstance(outcome, Classification)


def test_the_client_is_light() -> None:
    """Importing it loads no array library, decoder or engine."""
    program = "import cnnsvc.client, sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "PIL", "cv2", "openvino", "onnxruntime", "msgspec", "typer"} & set(loaded.split())


@pytest.mark.slow
def test_memory_stays_level(server: Server) -> None:
    """10,000 images of 100 kB each, 1 GB in all, leave client and server with less than 40 MB more than 1,000 did."""
    image = encode("PNG") + b"\0" * 100_000
    with Client(server.grpc_address) as client:

        def classify(number: int) -> int:
            images = ((key, image) for key in range(number))
            assert all(isinstance(outcome, Classification) for _, outcome in client.classify_stream(images))
            return _resident_bytes(server.process.pid) + _resident_bytes(os.getpid())

        before = classify(1_000)
        assert classify(10_000) - before < 40_000_000


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
