"""The audit log of calls through the real rooms: what a line says, what it never says, and what is lost."""

import base64
import errno
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from cnnsvc.errors import CnnsvcError, NotFoundError, OverloadedError
from cnnsvc.model import ModelOptions
from service import logs
from service.access import Access, Scope, Token, hash_of
from service.audit import MOST_BYTES, MOST_CALLS, AuditLog
from service.batcher import Image
from service.call_record import CallRecord, Outcome
from service.image_store import ImageStore
from service.line_file import LineFile
from service.loader import Loader
from service.metrics import Metrics
from service.predictor import Predictor, PredictorLimits, Query
from service.recording import Recording
from service.registry import Registry
from tests.bundles import CLASS_NAMES, threshold_between, write_bundle
from tests.encoded import encode
from tests.service.frontends.http_door import until

SOURCE: dict[str, Any] = {"client": ("192.0.2.7", 50000), "headers": []}
OK = Outcome("ok", 0.0125, "")


class HeldFile(LineFile):
    """Takes lines while its gate is open, and none while its disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 10**9)
        self.gate = threading.Event()
        self.gate.set()
        self.is_full = False

    def append(self, line: bytes) -> None:
        assert self.gate.wait(20)
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(line)


class Room:
    """A predictor whose calls are audited."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit.jsonl"
        self.prometheus = CollectorRegistry()
        metrics = self.metrics = Metrics(self.prometheus, version="0")
        self.file = HeldFile(self.path)
        self.audit = AuditLog(self.file, None, sample_percent=100, count_dropped=metrics.audit_dropped.inc)
        metrics.recorder = Recording(None, self.audit)
        self.registry = Registry(metrics)
        self.loader = Loader(self.registry, metrics, ModelOptions("openvino", num_streams=2, max_batch_size=2))
        self.predictor = Predictor(self.registry, PredictorLimits(8, 6, 10_000))

    async def call(self, images: Sequence[Image], *, model: str = "", caller: str = "") -> None:
        if caller:
            token = Token(caller, [Scope.CLASSIFY], hash_of("a"))
            Access(lambda: [token]).check("Bearer a", Scope.CLASSIFY)
        with self.metrics.request("http", "classify", SOURCE) as observed:
            await self.predictor.classify(Query(images, model, record=observed.record))

    def lines(self) -> list[dict[str, Any]]:
        """All, once they are written."""
        self.audit.close()
        return _lines(self.path)

    @property
    def num_dropped(self) -> float | None:
        return self.prometheus.get_sample_value("cnnsvc_audit_dropped_total")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path)
    await room.loader.load_bundle(write_bundle(tmp_path / "models"))
    yield room
    room.registry.close()


async def test_an_answered_call_is_a_line(room: Room) -> None:
    """It says who asked what of which model when, and of each image the hash, the best class and its score."""
    logs.bind_request_id("call-1")
    images = [encode("PNG", seed=seed) for seed in range(3)]
    await room.call(images, caller="lab")
    (line,) = room.lines()
    assert line.pop("time").endswith("Z")
    assert line.pop("duration_ms") > 0
    found = line.pop("images")
    assert line == {
        "request_id": "call-1",
        "protocol": "http",
        "method": "classify",
        "model": "flowers",
        "version": 1,
        "code": "ok",
        "address": "192.0.2.7",
        "caller": "lab",
    }
    assert [one["sha256"] for one in found] == [hashlib.sha256(image).hexdigest() for image in images]
    assert [one["num_bytes"] for one in found] == list(map(len, images))
    assert all(one["class"] in CLASS_NAMES and 0 < one["score"] <= 1 for one in found)


async def test_images_of_no_class_are_marked(tmp_path: Path) -> None:
    """An image is marked where its best score is below the bundle's threshold, and keeps its closest class."""
    room = Room(tmp_path)
    images = [encode("PNG", seed=seed) for seed in range(6)]
    threshold = threshold_between(write_bundle(tmp_path / "models"), images)
    await room.loader.load_bundle(write_bundle(tmp_path / "models", threshold=threshold))
    await room.call(images)
    (line,) = room.lines()
    assert [one["rejected"] for one in line["images"]] == [one["score"] < threshold for one in line["images"]]
    assert {one["rejected"] for one in line["images"]} == {False, True}
    room.registry.close()


async def test_pixels_are_known_by_their_bytes(room: Room) -> None:
    """Of an image that came decoded the hash is that of its pixels, row by row."""
    pixels = room.registry.get("flowers").model.decode(encode("PNG"))
    await room.call([pixels])
    (found,) = room.lines()[0]["images"]
    assert (found["sha256"], found["num_bytes"]) == (hashlib.sha256(pixels.tobytes()).hexdigest(), pixels.nbytes)


async def test_refused_calls_are_lines(room: Room) -> None:
    """With the kind of the error, the model where it is known, and the hashes of what came; there is no class."""
    image = encode("PNG")
    with pytest.raises(NotFoundError):
        await room.call([image], model="roses")
    with pytest.raises(CnnsvcError):
        await room.call([image, b"no image"])
    with pytest.raises(OverloadedError), room.metrics.request("http", "classify", SOURCE):
        raise OverloadedError("before the body was read")
    lines = room.lines()
    assert [line["code"] for line in lines] == ["not_found", "invalid", "overloaded"]
    assert [line["model"] for line in lines] == ["", "flowers", ""]
    assert [len(line["images"]) for line in lines] == [1, 2, 0]
    unanswered = {"sha256": hashlib.sha256(b"no image").hexdigest(), "num_bytes": 8, "class": None, "score": None}
    unanswered["rejected"] = None
    assert lines[1]["images"][1] == unanswered


async def test_a_call_without_images(room: Room) -> None:
    """It has a line too, with the model where it asked for one."""
    with room.metrics.request("http", "get_model", SOURCE) as observed:
        observed.model, observed.version = "flowers", 1
    (line,) = room.lines()
    assert (line["method"], line["model"], line["version"], line["images"]) == ("get_model", "flowers", 1, [])


async def test_nothing_of_an_image_is_in_the_log(room: Room) -> None:
    """Neither its bytes nor a writing of them, of answered and refused calls, nor the words of an error about them."""
    image, wrong = encode("PNG"), b"secret words that are no image"
    await room.call([image])
    with pytest.raises(CnnsvcError):
        await room.call([wrong])
    room.audit.close()
    text = room.path.read_bytes()
    for data in (image, wrong):
        piece = data[8:32]
        assert piece not in text
        assert base64.b64encode(data)[8:32] not in text
        assert piece.hex().encode() not in text


@given(st.lists(st.binary(max_size=5000), max_size=5))
def test_the_hash_is_that_of_what_was_sent(tmp_path_factory: pytest.TempPathFactory, images: list[bytes]) -> None:
    """Of any bytes, in their order, whether they are an image or not."""
    path = tmp_path_factory.mktemp("audit") / "log"
    audit = AuditLog(LineFile(path, 10**9), None, sample_percent=100)
    audit.add(CallRecord("grpc", "classify", SOURCE, images=images), OK)
    audit.close()
    (line,) = _lines(path)
    assert [one["sha256"] for one in line["images"]] == [hashlib.sha256(image).hexdigest() for image in images]


async def test_a_full_disk_is_told_once_and_counted(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Calls are answered all the same, each lost line counts, and lines are written again when there is room."""
    room.file.is_full = True
    with caplog.at_level("INFO", "cnnsvc.audit"):
        for _ in range(5):
            await room.call([encode("PNG")])
        await until(lambda: room.num_dropped == 5)
        room.file.is_full = False
        await room.call([encode("PNG")])
        assert len(room.lines()) == 1
    assert caplog.messages == [
        "the audit log cannot be written, and what belongs in it is lost: [Errno 28] No space left on device",
        "the audit log is written again",
    ]
    assert room.num_dropped == 5


@pytest.mark.parametrize(
    ("images", "num_taken"), [([b"x"], MOST_CALLS), ([bytes(MOST_BYTES // 8)], 8), ([bytes(MOST_BYTES + 1)], 0)]
)
async def test_what_waits_is_bounded(
    room: Room, images: list[bytes], num_taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    """While nothing can be written, as many calls wait as are allowed, by number and by bytes; the rest is counted."""
    room.file.gate.clear()
    for _ in range(num_taken + 7):
        room.audit.add(CallRecord("http", "classify", SOURCE, images=images), OK)
    assert room.num_dropped == 7
    assert caplog.messages == ["the audit log is not written as fast as calls come; lines are lost"]
    room.file.gate.set()
    assert len(room.lines()) == num_taken


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (20, 100, 320), (100, 1000, 1000)])
async def test_a_share_of_the_calls(tmp_path: Path, percent: float, least: int, most: int) -> None:
    """Of many calls about the percentage has a line."""
    path = tmp_path / "log"
    metrics = Metrics(CollectorRegistry(), version="0")
    audit = AuditLog(LineFile(path, 10**9), None, sample_percent=percent)
    metrics.recorder = Recording(None, audit)
    for _ in range(1000):
        with metrics.request("http", "list_models", SOURCE):
            pass
    audit.close()
    assert least <= len(_lines(path)) <= most


async def test_images_are_kept_where_that_is_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each is found under the hash in its line; a folder that is gone costs no line."""
    folder = tmp_path / "images"
    audit = AuditLog(LineFile(tmp_path / "log", 10**9), ImageStore(folder, 1000), sample_percent=100)
    audit.add(CallRecord("http", "classify", SOURCE, images=[b"one", b"two"]), OK)
    kept = [folder / hashlib.sha256(image).hexdigest() for image in (b"one", b"two")]
    await until(lambda: all(path.exists() for path in kept))
    for path in kept:
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
    folder.rmdir()
    audit.add(CallRecord("http", "classify", SOURCE, images=[b"three"]), OK)
    audit.close()
    digests = [one["sha256"] for line in _lines(tmp_path / "log") for one in line["images"]]
    assert digests == [hashlib.sha256(image).hexdigest() for image in (b"one", b"two", b"three")]
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "the folder of audited images cannot be written"
    ]
