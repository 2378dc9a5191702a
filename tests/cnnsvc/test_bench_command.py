"""The flags of `cnnsvc bench`; what it measures is in tests/cnnsvc/load/ and tests/e2e/test_bench.py."""

from pathlib import Path

import pytest

from cnnsvc.bench_command import bench, read_concurrencies
from cnnsvc.errors import InvalidError


def test_several_concurrencies() -> None:
    """Each once, in the order given."""
    assert read_concurrencies("8") == [8]
    assert read_concurrencies("32,1,8,1") == [32, 1, 8]


@pytest.mark.parametrize("words", ["", "0", "a", "1,", "1, 2", "-1", "1025", "99999", "1.5"])
def test_what_is_no_concurrency(words: str) -> None:
    """An error that shows what came."""
    with pytest.raises(InvalidError, match="--concurrency"):
        read_concurrencies(words)


def test_wrong_calls_are_refused_before_any_load(tmp_path: Path) -> None:
    """Flags that contradict each other or lead nowhere, and images that are not there."""
    image = tmp_path / "a.jpg"
    image.write_bytes(b"image")
    with pytest.raises(InvalidError, match="and not both"):
        bench(str(image), size="10x10")
    with pytest.raises(InvalidError, match="there is no folder"):
        bench(svg=tmp_path / "nowhere" / "a.svg")
    with pytest.raises(InvalidError, match=r"rose\.jpg is not there"):
        bench("http://127.0.0.1:1", [tmp_path / "rose.jpg"])
    with pytest.raises(InvalidError, match="--stream needs gRPC"):
        bench(stream=True)
