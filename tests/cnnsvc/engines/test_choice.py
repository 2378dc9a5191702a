"""The choice of an engine by measurement, and what is remembered of it."""

import pwd
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cnnsvc.bundle import Bundle, open_bundle
from cnnsvc.engines import choice
from cnnsvc.engines.base import Engine, Images, Scores
from cnnsvc.engines.choice import Asked, Trial, choose_engine, images_per_second
from cnnsvc.engines.choice_cache import ChoiceCache, cpu_description, default_cache_dir
from cnnsvc.engines.load import load_engine
from cnnsvc.errors import BundleError, EngineError, UnsupportedError
from tests.bundles import manifest_of, write_bundle
from tests.fakes import FunctionEngine


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return open_bundle(write_bundle(tmp_path))


Speed = Callable[[str, int, int], float]


class Loader:
    """Loads engines that give the bundle's golden answers but for the wrong one; notes what it opened and closed."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong
        self.opened: list[str] = []
        self.closed: list[str] = []

    def __call__(self, name: str, bundle: Bundle, artifact: str, *, num_threads: int) -> Engine:
        real = load_engine("openvino", bundle, artifact, num_threads=num_threads)
        engine = FunctionEngine(
            lambda images: np.roll(real.run(images), 1, axis=1) if name == self.wrong else real.run(images),
            artifact=artifact,
        )
        engine.name, engine.num_streams, engine.is_single = name, num_threads, False
        engine.close = lambda: self.closed.append(name)  # type: ignore[method-assign]
        self.opened.append(name)
        return engine


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loader]:
    """Installs engines of these speeds, by name, streams and batch size."""

    def install(speed: Speed, *, wrong: str = "") -> Loader:
        loader = Loader(wrong)
        monkeypatch.setattr(choice, "load_engine", loader)
        monkeypatch.setattr(
            choice,
            "images_per_second",
            lambda engine, _, num_streams, batch_size, seconds: speed(engine.name, num_streams, batch_size),
        )
        return loader

    return install


def by_name(name: str, num_streams: int, batch_size: int) -> float:
    return {"openvino": 200, "onnxruntime": 300}[name]


def test_the_fastest_right_one_answers(bundle: Bundle, paced: Callable[..., Loader]) -> None:
    """Of two engines the faster is chosen and the other closed; the trials say how fast each was."""
    loader = paced(by_name)
    chosen = choose_engine(bundle, Asked())
    assert (chosen.engine.name, chosen.batch_size) == ("onnxruntime", 1)
    assert loader.closed == ["openvino"]
    assert chosen.trials == [
        Trial("openvino", "model.onnx", 1, 1, 200),
        Trial("onnxruntime", "model.onnx", 1, 1, 300, is_chosen=True),
    ]


def test_a_wrong_one_never_answers(bundle: Bundle, paced: Callable[..., Loader]) -> None:
    """An engine whose golden answers do not come out is refused with the reason, however fast it is."""
    loader = paced(by_name, wrong="onnxruntime")
    chosen = choose_engine(bundle, Asked())
    assert chosen.engine.name == "openvino"
    assert loader.closed == ["onnxruntime"]
    assert "golden images" in chosen.trials[1].refusal
    assert "golden images" in chosen.trials[1].describe()


def test_none_that_is_right(bundle: Bundle, paced: Callable[..., Loader]) -> None:
    """Where every engine fails, the first one's error tells why."""
    paced(by_name, wrong="openvino")
    with pytest.raises(BundleError, match=r"openvino answers .* golden images"):
        choose_engine(bundle, Asked(engine="openvino"))


def test_an_engine_that_is_absent(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenVINO is not installed ONNX Runtime answers, and the trials say why."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    chosen = choose_engine(bundle, Asked())
    assert chosen.engine.name == "onnxruntime"
    assert chosen.trials[0].refusal.startswith("engine openvino is not installed")
    with pytest.raises(UnsupportedError):
        choose_engine(bundle, Asked(engine="openvino"))


def test_nothing_is_timed_where_there_is_no_choice(bundle: Bundle) -> None:
    """One engine, one artifact, one stream: the engine is proven and not timed."""
    chosen = choose_engine(bundle, Asked(engine="openvino", artifact="model.onnx"))
    assert chosen.trials == [Trial("openvino", "model.onnx", 1, 1, is_chosen=True)]
    assert "not timed (chosen)" in chosen.trials[0].describe()


@pytest.mark.parametrize(("gain", "num_streams"), [(1.04, 4), (1.06, 2)])
def test_fewer_streams_where_that_is_faster(
    bundle: Bundle, paced: Callable[..., Loader], gain: float, num_streams: int
) -> None:
    """Half of the streams are taken where they are more than 5 % faster, and only where that may be."""
    paced(lambda name, streams, batch_size: 100 * gain if streams == 2 else 100)
    asked = Asked(engine="openvino", num_streams=4, may_use_fewer=True)
    assert choose_engine(bundle, asked).engine.num_streams == num_streams
    assert choose_engine(bundle, Asked(engine="openvino", num_streams=4)).engine.num_streams == 4


@pytest.mark.parametrize(("gain", "expected"), [(1.04, 1), (1.06, 8)])
def test_batches_where_they_pay(bundle: Bundle, paced: Callable[..., Loader], gain: float, expected: int) -> None:
    """Single images go unless batches are more than 5 % faster."""
    paced(lambda name, streams, batch_size: 100 * gain if batch_size == 8 else 100)
    chosen = choose_engine(bundle, Asked(engine="openvino", num_streams=2, max_batch_size=8))
    assert chosen.batch_size == expected
    assert [(trial.num_streams, trial.batch_size) for trial in chosen.trials] == [(2, 1), (2, 8)]


def test_a_bundle_without_artifacts(tmp_path: Path) -> None:
    """A manifest that lists no ONNX file loads nothing, whatever lies in the folder."""
    bundle = Bundle(tmp_path, msgspec.structs.replace(manifest_of(), artifacts={}))
    with pytest.raises(BundleError, match="has no artifact for an engine"):
        choose_engine(bundle, Asked())


def test_a_choice_is_remembered(bundle: Bundle, paced: Callable[..., Loader], tmp_path: Path) -> None:
    """The second start opens the chosen engine alone, with the same streams, batch size and trials."""
    cache = ChoiceCache(tmp_path / "cache")
    loader = paced(lambda name, streams, batch_size: by_name(name, streams, batch_size) / streams)
    asked = Asked(num_streams=4, may_use_fewer=True)
    first = choose_engine(bundle, asked, cache)
    loader.opened.clear()
    second = choose_engine(bundle, asked, cache)
    assert loader.opened == ["onnxruntime"]
    assert (second.trials, second.batch_size) == (first.trials, first.batch_size)
    assert second.engine.num_streams == first.engine.num_streams == 2


def test_a_remembered_engine_that_is_wrong_now(bundle: Bundle, paced: Callable[..., Loader], tmp_path: Path) -> None:
    """What is remembered is proven again; where it fails, all are tried anew."""
    cache = ChoiceCache(tmp_path / "cache")
    paced(by_name)
    choose_engine(bundle, Asked(), cache)
    paced(by_name, wrong="onnxruntime")
    assert choose_engine(bundle, Asked(), cache).engine.name == "openvino"
    assert choose_engine(bundle, Asked(), cache).engine.name == "openvino"


def test_what_the_memory_depends_on(tmp_path: Path, bundle: Bundle) -> None:
    """Another bundle and another question have another key; the same ones have the same."""
    cache = ChoiceCache(tmp_path)
    other = open_bundle(write_bundle(tmp_path, seed=1))
    keys = [cache.key(bundle, Asked()), cache.key(other, Asked()), cache.key(bundle, Asked(num_streams=2))]
    assert len(set(keys)) == 3
    assert keys[0] == ChoiceCache(tmp_path).key(bundle, Asked())


@pytest.mark.parametrize("content", [b"", b"{", b'[{"engine": 1}]', b"[]"])
def test_a_memory_that_cannot_be_read(content: bytes, tmp_path: Path, bundle: Bundle) -> None:
    """A file that is broken or from another version counts as none and is written anew."""
    cache, asked = ChoiceCache(tmp_path), Asked(engine="openvino", num_streams=2, may_use_fewer=True)
    file = tmp_path / f"engine-{cache.key(bundle, asked)[:32]}.json"
    file.write_bytes(content)
    chosen = choose_engine(bundle, asked, cache)
    assert msgspec.json.decode(file.read_bytes(), type=list[Trial]) == chosen.trials


def test_a_folder_that_cannot_be_written(tmp_path: Path, bundle: Bundle) -> None:
    """Then nothing is remembered, and the engine is chosen all the same."""
    (tmp_path / "file").write_text("")
    cache = ChoiceCache(tmp_path / "file" / "cache")
    assert choose_engine(bundle, Asked(engine="openvino"), cache).engine.name == "openvino"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a number: nothing is remembered, and nothing fails."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache_dir() == Path("/home/somebody/.cache/cnnsvc")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert default_cache_dir() is None


def test_the_cpu_is_described(tmp_path: Path) -> None:
    """Its kind and what it can do, not how fast it runs just now; nothing where the system does not say."""
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fast\ncpu MHz\t: 2299.998\nflags\t: fpu vme\n\nprocessor\t: 1\n")
    assert cpu_description(info) == "model name:Fast\nflags:fpu vme"
    assert cpu_description(tmp_path / "absent") == ""


def test_the_speed_is_that_of_all_streams() -> None:
    """Two threads that each take 2 ms an image make about a thousand images a second; a failure is raised."""
    images = np.zeros((3, 2, 2, 3), np.uint8)

    def run(images_nhwc: Images) -> Scores:
        time.sleep(0.002 * len(images_nhwc))
        return np.zeros((len(images_nhwc), 2), np.float32)

    speed = images_per_second(FunctionEngine(run), images, num_streams=2, batch_size=2, seconds=0.1)
    assert 200 < speed < 1000

    def fail(images_nhwc: Images) -> Scores:
        raise EngineError("broken")

    with pytest.raises(EngineError, match="broken"):
        images_per_second(FunctionEngine(fail), images, num_streams=2, batch_size=1, seconds=0.1)
