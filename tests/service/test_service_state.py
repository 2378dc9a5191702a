"""Decisions are kept whole, in memory or in a file that several processes share."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from cnnsvc.errors import SettingError
from service.service_state import STATE_NAME, ModelState, StateStore, Withdrawal


def _labelled(label: str, version: int) -> Callable[[ModelState], ModelState]:
    return lambda state: msgspec.structs.replace(state, labels={**state.labels, label: version})


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_change_is_seen(tmp_path: Path, is_kept: bool) -> None:
    """Whoever changes the state has it at once; with a folder a second store reads the same."""
    store = StateStore(tmp_path if is_kept else None)
    changed = ModelState({"stable": 3}, {"stable": 1}, [3], {4: Withdrawal("it failed", "abc")})
    store.change("flowers", lambda state: changed)
    assert store.state.model("flowers") == changed
    assert store.state.model("trees") == ModelState()
    assert StateStore(tmp_path).state.model("flowers") == (changed if is_kept else ModelState())


def test_no_change_is_lost(tmp_path: Path) -> None:
    """Stores that change different things at the same time all find their change kept."""
    stores = [StateStore(tmp_path) for _ in range(8)]

    def work(index: int) -> None:
        for step in range(5):
            stores[index].change("flowers", _labelled(f"l{index}", step + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert StateStore(tmp_path).state.model("flowers").labels == {f"l{index}": 5 for index in range(8)}


def test_a_store_follows_another(tmp_path: Path) -> None:
    """A refresh says whether anything changed."""
    one, other = StateStore(tmp_path), StateStore(tmp_path)
    assert not other.refresh()
    one.change("flowers", lambda state: ModelState({"stable": 1}))
    assert other.refresh()
    assert other.state.model("flowers").labels == {"stable": 1}
    assert not other.refresh()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"models": {"a": {"labels": {"x": "y"}}}}'])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """It keeps a service from starting, and changes nothing of one that runs."""
    store = StateStore(tmp_path)
    store.change("flowers", lambda state: ModelState({"stable": 1}))
    (tmp_path / STATE_NAME).write_text(content)
    with pytest.raises(SettingError, match=r"state\.json"):
        StateStore(tmp_path)
    assert not store.refresh()
    assert store.state.model("flowers").labels == {"stable": 1}
    assert "the state stays as it was" in caplog.text


def test_the_file_is_for_people_too(tmp_path: Path) -> None:
    """It is JSON that says its format."""
    StateStore(tmp_path).change("flowers", lambda state: ModelState({"stable": 1}))
    assert json.loads((tmp_path / STATE_NAME).read_text())["format"] == 1


def test_a_file_that_goes_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that was unmounted is not one without decisions."""
    store = StateStore(tmp_path)
    store.change("flowers", lambda state: ModelState({"stable": 1}))
    (tmp_path / STATE_NAME).unlink()
    assert not store.refresh()
    assert store.state.model("flowers").labels == {"stable": 1}
    assert "is gone" in caplog.text
