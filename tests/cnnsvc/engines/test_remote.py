"""The remote engine against servers in this process: right answers, and what every trouble of an upstream becomes."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines.base import Engine, Images, Scores
from cnnsvc.engines.golden import golden_images
from cnnsvc.engines.load import load_engine
from cnnsvc.engines.remote import RemoteEngine, choose_remote
from cnnsvc.engines.upstream import Upstream as Address
from cnnsvc.errors import BundleError, CnnsvcError, EngineError, Fault, LateError, NotReadyError, OverloadedError
from tests.bundles import write_bundle
from tests.certificates import Authority
from tests.cnnsvc.engines.upstreams import OIP, TFS, Upstream

BOTH = pytest.mark.parametrize("dialect", [TFS, OIP])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_bundle(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> Iterator[Engine]:
    engine = load_engine("openvino", bundle, "model.onnx", num_threads=1)
    yield engine
    engine.close()


@pytest.fixture
def upstream(bundle: Bundle, network: Engine) -> Upstream:
    return Upstream.of(bundle, network)


def chosen(bundle: Bundle, upstream: Upstream, *, max_batch_size: int = 4, **options: Any) -> RemoteEngine:
    address = Address(upstream.url, **options)
    choice = choose_remote(bundle, address, artifact=None, num_streams=2, max_batch_size=max_batch_size)
    assert isinstance(choice.engine, RemoteEngine)
    return choice.engine


def refusal(bundle: Bundle, upstream: Upstream, **options: Any) -> BundleError:
    with pytest.raises(BundleError) as refused:
        chosen(bundle, upstream, **options)
    return refused.value


@BOTH
@pytest.mark.parametrize("type_", ["UINT8", "FP32"])
@pytest.mark.parametrize("packs_scores", [True, False])
def test_scores_are_those_of_the_upstream(
    bundle: Bundle, upstream: Upstream, dialect: str, type_: str, packs_scores: bool
) -> None:
    """To the last digit, for one image and for a batch, however the upstream takes pixels and packs scores."""
    upstream.type, upstream.packs_scores = type_, packs_scores
    images = golden_images(bundle)
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
        assert (engine.name, engine.artifact, engine.num_streams, engine.is_single) == (
            "remote",
            "model.onnx",
            2,
            False,
        )
        np.testing.assert_array_equal(engine.run(images), upstream.answer(images))
        np.testing.assert_array_equal(engine.run(images[:1]), upstream.answer(images[:1]))
        assert upstream.batch_sizes[-2:] == [3, 1]
        assert engine.trouble == ""
        engine.close()


def test_the_dialect_is_found_or_told(bundle: Bundle, upstream: Upstream) -> None:
    """Where both are spoken either answers; one that is not spoken is named."""
    with upstream.running(TFS, OIP):
        for dialect in ("auto", TFS, OIP):
            chosen(bundle, upstream, dialect=dialect).close()
    upstream.port = 0  # another server: gRPC waits a little before it tries again where one has gone
    with upstream.running(OIP):
        assert "answers UNIMPLEMENTED" in str(refusal(bundle, upstream, dialect=TFS))
    upstream.port = 0
    with upstream.running():
        assert "speaks neither oip" in str(refusal(bundle, upstream))


@BOTH
def test_model_and_version_are_the_bundles_unless_others_are_named(
    bundle: Bundle, upstream: Upstream, dialect: str
) -> None:
    """A version that the upstream lacks is refused in its own words; both can be named otherwise."""
    upstream.versions = [7]
    with upstream.running(dialect):
        error = refusal(bundle, upstream)
        assert error.fault is Fault.UPSTREAM
        assert "does not have this model version: Servable not found for request: Specific(flowers, 1)" in str(error)
        upstream.model = "blumen"
        chosen(bundle, upstream, model="blumen", version=7).close()


@BOTH
def test_another_network_is_refused(bundle: Bundle, upstream: Upstream, dialect: str) -> None:
    """An upstream that answers the golden images otherwise does not serve under this bundle's names."""
    right = upstream.answer
    upstream.answer = lambda images: np.roll(right(images), 1, axis=1)
    with upstream.running(dialect):
        error = refusal(bundle, upstream)
    assert error.fault is Fault.GOLDEN
    assert "remote answers 3 of 3 golden images wrong with model.onnx" in str(error)


def test_a_batch_must_get_what_each_image_gets(bundle: Bundle, upstream: Upstream) -> None:
    """One that answers only the first image of a batch rightly is refused, though it does so for each alone."""
    right = upstream.answer

    def answer(images: Images) -> Scores:
        return np.concatenate([right(images[:1]), np.roll(right(images), 1, axis=1)[1:]])

    upstream.answer = answer
    with upstream.running(TFS):
        assert refusal(bundle, upstream).fault is Fault.GOLDEN
        chosen(bundle, upstream, max_batch_size=1).close()


@BOTH
@pytest.mark.parametrize(
    ("image_hwc", "num_classes", "reason"),
    [
        ((3, 24, 32), 3, r"inputs are .* UINT8 \[-1, 3, 24, 32\]; expected"),
        ((24, 32, 3), 5, r"outputs are .*\[-1, 5\]"),
    ],
)
def test_a_model_for_other_images_or_classes(
    bundle: Bundle, upstream: Upstream, dialect: str, image_hwc: tuple[int, ...], num_classes: int, reason: str
) -> None:
    """What it takes and answers is compared with the bundle before an image goes there."""
    upstream.image_hwc, upstream.num_classes = image_hwc, num_classes
    with upstream.running(dialect):
        error = refusal(bundle, upstream)
    assert error.fault is Fault.UPSTREAM
    with pytest.raises(BundleError, match=reason):
        raise error
    assert upstream.batch_sizes == []


@BOTH
@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (3,)])
def test_an_answer_of_another_shape(bundle: Bundle, upstream: Upstream, dialect: str, shape: tuple[int, ...]) -> None:
    """Scores that do not fit the image are an error of the engine, and never somebody's answer."""
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
        upstream.answer = lambda images: np.ones(shape, np.float32)
        with pytest.raises(EngineError, match=r"the upstream answered \d scores, FP32 .* expected FP32 \[1, 3\]"):
            engine.run(golden_images(bundle)[:1])
        engine.close()


@BOTH
@pytest.mark.parametrize("score", [np.nan, np.inf, -0.25, 7])
def test_an_answer_that_is_no_scores(bundle: Bundle, upstream: Upstream, dialect: str, score: float) -> None:
    """Numbers that no softmax gives are likewise."""
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
        upstream.answer = lambda images: np.array([[0.5, 0.25, score]], np.float32)
        with pytest.raises(EngineError, match=r"the upstream answered scores from .* expected 0 to 1"):
            engine.run(golden_images(bundle)[:1])
        engine.close()


@BOTH
def test_the_deadline_goes_with_the_call(bundle: Bundle, upstream: Upstream, dialect: str) -> None:
    """The upstream gets what time is left; past it the answer is late, and past it from the start nobody is asked."""
    image = golden_images(bundle)[:1]
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
        engine.run(image, time.monotonic() + 5)
        assert 4 < upstream.seconds_left[-1] < 5.1
        upstream.gate.clear()
        started = time.monotonic()
        with pytest.raises(LateError, match="gave no answer before the deadline"):
            engine.run(image, started + 0.2)
        assert time.monotonic() - started < 2
        num_asked = len(upstream.batch_sizes)
        with pytest.raises(LateError):
            engine.run(image, time.monotonic() - 1)
        assert len(upstream.batch_sizes) == num_asked
        engine.close()


@BOTH
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, NotReadyError),
        (grpc.StatusCode.NOT_FOUND, NotReadyError),
        (grpc.StatusCode.PERMISSION_DENIED, NotReadyError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, LateError),
        (grpc.StatusCode.INVALID_ARGUMENT, EngineError),
        (grpc.StatusCode.INTERNAL, EngineError),
    ],
)
def test_what_an_upstream_says_becomes_ours(
    bundle: Bundle, upstream: Upstream, dialect: str, code: grpc.StatusCode, expected: type[CnnsvcError]
) -> None:
    """Callers learn what it means and which upstream it was, and none of its words."""
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
        upstream.refusal = code, "secret words"
        with pytest.raises(expected) as failed:
            engine.run(golden_images(bundle)[:1])
        engine.close()
    assert type(failed.value) is expected
    assert str(failed.value).startswith(f"the upstream {upstream.url} ")
    assert "secret" not in str(failed.value)


def test_what_goes_away_is_tried_again_until_the_circuit_breaks(bundle: Bundle, upstream: Upstream) -> None:
    """A call is tried three times at most; an upstream that goes on failing gets each call once."""
    image = golden_images(bundle)[:1]
    with upstream.running(OIP):
        engine = chosen(bundle, upstream)
        upstream.refusal = grpc.StatusCode.UNAVAILABLE, ""
        attempts = []
        for _ in range(6):
            before = len(upstream.batch_sizes)
            with pytest.raises(NotReadyError):
                engine.run(image)
            attempts.append(len(upstream.batch_sizes) - before)
        engine.close()
    assert (attempts[0], attempts[-1]) == (3, 1)


def test_overload_is_not_tried_again(bundle: Bundle, upstream: Upstream) -> None:
    """An upstream with too much to do does not get the same again."""
    with upstream.running(TFS):
        engine = chosen(bundle, upstream)
        upstream.refusal = grpc.StatusCode.RESOURCE_EXHAUSTED, ""
        num_asked = len(upstream.batch_sizes)
        with pytest.raises(OverloadedError):
            engine.run(golden_images(bundle)[:1])
        assert len(upstream.batch_sizes) == num_asked + 1
        engine.close()


@BOTH
def test_an_upstream_that_is_away(bundle: Bundle, upstream: Upstream, dialect: str) -> None:
    """Calls fail at once and not at their deadline, the engine says why, and all is well when it is back."""
    image = golden_images(bundle)[:1]
    with upstream.running(dialect):
        engine = chosen(bundle, upstream)
    _until(lambda: bool(engine.trouble))
    assert "cannot be reached" in engine.trouble
    started = time.monotonic()
    with pytest.raises(NotReadyError, match="cannot be reached"):
        engine.run(image, started + 30)
    assert time.monotonic() - started < 3
    with upstream.running(dialect):
        _until(lambda: not engine.trouble)
        np.testing.assert_array_equal(engine.run(image), upstream.answer(image))
    engine.close()


def test_an_upstream_that_says_that_it_does_not_serve(bundle: Bundle, upstream: Upstream) -> None:
    """Its own health, where it tells it, counts as whether it can be reached."""
    with upstream.running(OIP):
        engine = chosen(bundle, upstream)
        upstream.set_health(is_serving=False)
        _until(lambda: bool(engine.trouble))
        with pytest.raises(NotReadyError):
            engine.run(golden_images(bundle)[:1])
        upstream.set_health(is_serving=True)
        _until(lambda: not engine.trouble)
        engine.run(golden_images(bundle)[:1])
        engine.close()


def test_nobody_there_while_loading(bundle: Bundle, upstream: Upstream) -> None:
    """The version is refused within seconds, for a reason that may pass."""
    with upstream.running(OIP):
        pass
    started = time.monotonic()
    error = refusal(bundle, upstream)
    assert error.fault is Fault.UPSTREAM
    assert f"the upstream {upstream.url} cannot be reached" in str(error)
    assert time.monotonic() - started < 5


def test_calls_are_shared_out_over_all_addresses(bundle: Bundle, upstream: Upstream) -> None:
    """Each address gets its share, and where one goes away the others get all without a failed call."""
    other = Upstream(upstream.answer, upstream.image_hwc, upstream.num_classes)
    image = golden_images(bundle)[:1]
    with upstream.running(TFS):
        with other.running(TFS):
            address = Address(f"{upstream.url},127.0.0.1:{other.port}")
            choice = choose_remote(bundle, address, artifact=None, num_streams=1, max_batch_size=1)
            _until(lambda: choice.engine.run(image) is not None and bool(other.batch_sizes and upstream.batch_sizes))
            for each in (upstream, other):
                each.batch_sizes.clear()
            for _ in range(10):
                choice.engine.run(image)
            assert len(upstream.batch_sizes) == len(other.batch_sizes) == 5
        for _ in range(10):
            choice.engine.run(image)
        assert choice.engine.trouble == ""
        choice.engine.close()


def test_a_token_is_shown(bundle: Bundle, upstream: Upstream, tmp_path: Path) -> None:
    """With it the upstream answers, without it the reason says so."""
    (tmp_path / "token").write_text("open-sesame\n")
    upstream.token = "open-sesame"
    with upstream.running(TFS):
        assert "does not know this server" in str(refusal(bundle, upstream))
        chosen(bundle, upstream, token_file=tmp_path / "token").close()


def test_calls_may_be_encrypted(bundle: Bundle, upstream: Upstream, tmp_path: Path) -> None:
    """With grpcs:// the upstream must show a certificate of the authorities that are named."""
    authority = Authority(tmp_path, "authority")
    pair = authority.issue()
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    with upstream.running(TFS, credentials=credentials):
        url = upstream.url.replace("grpc://", "grpcs://")
        trusting = Address(url, ca=authority.file)
        choose_remote(bundle, trusting, artifact=None, num_streams=1, max_batch_size=1).engine.close()
        with pytest.raises(BundleError, match="cannot be reached"):
            choose_remote(bundle, Address(url), artifact=None, num_streams=1, max_batch_size=1)


def test_several_threads_call_at_once(bundle: Bundle, upstream: Upstream) -> None:
    """As many calls are in flight as threads call, and each gets its own scores."""
    images = golden_images(bundle)
    found: dict[int, Scores] = {}
    with upstream.running(OIP):
        engine = chosen(bundle, upstream)
        upstream.gate.clear()
        before = len(upstream.batch_sizes)

        def call(place: int, image: Images) -> None:
            found[place] = engine.run(image)

        threads = [threading.Thread(target=call, args=(place, images[place : place + 1])) for place in range(3)]
        for thread in threads:
            thread.start()
        _until(lambda: len(upstream.batch_sizes) == before + 3)
        upstream.gate.set()
        for thread in threads:
            thread.join(10)
        engine.close()
    for place in range(3):
        np.testing.assert_array_equal(found[place], upstream.answer(images[place : place + 1]))


def _until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)
