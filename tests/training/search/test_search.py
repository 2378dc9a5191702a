"""`cnnsvc search` as a person runs it, with a real Ray: interrupted, killed, resumed, on two nodes."""

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.images import write_image_folder
from tests.training.search.searches import (
    TIMEOUT_S,
    TINY,
    TINY_NETWORKS,
    descendants,
    public_listeners,
    read_until,
    require_ray,
    search,
    short_folder,
    two_nodes,
    wait_until_gone,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """shapes/ to search on."""
    require_ray()
    write_image_folder(tmp_path / "shapes", 3, 20, 16)
    return tmp_path


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "searches/shapes/events.jsonl").read_text().splitlines()]


def ended(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All that was written of each network that has an end."""
    found = events(folder)
    names = [one["network"] for one in found if one.get("status") not in (None, "running")]
    return {name: [one for one in found if one["network"] == name] for name in names}


def leaderboard(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "searches/shapes/leaderboard.json").read_text())
    return content


def test_interruptions_cost_what_was_under_way_and_nothing_else(folder: Path) -> None:
    """Ctrl-C ends with status 130; neither it nor kill -9 leaves a process for good; --resume keeps what had ended
    and trains the rest. Meanwhile Ray listens to this machine only.
    """
    with short_folder() as tmp:
        with search(folder, tmp, *TINY, *TINY_NETWORKS) as process:
            said = read_until(process.stderr, " begins: ")
            processes = descendants(process.pid)
            assert public_listeners(processes) == []
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said += process.stderr.read()
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert said.endswith("interrupted; --resume goes on with what searches/shapes holds\n")
        wait_until_gone(processes)
        assert list(tmp.iterdir()) == [], "nothing is left in the folder for temporary files"
        assert ended(folder) == {}
        assert (folder / "stdout").read_text() == ""

        with search(folder, tmp, "--resume") as process:
            read_until(process.stderr, " of 4 done")
            processes = descendants(process.pid)
            process.kill()
        wait_until_gone(processes)
        finished_before = ended(folder)
        assert finished_before

        with search(folder, tmp, "--resume", "--epochs", "4") as process:
            assert process.stderr is not None
            said = process.stderr.read()
        assert process.returncode == 0, said
    for name, before in finished_before.items():
        assert ended(folder)[name] == before
        assert f"{name} begins" not in said
    assert sorted(ended(folder)) == ["26", "28", "s01", "s02"]
    begun = [one["network"] for one in events(folder) if one.get("status") == "running"]
    assert len(begun) > 4, "the interrupted ones were begun again"
    _check_result(folder)
    assert not {".ray", "ray_results"} & {path.name for path in (folder / "home").iterdir()}


def test_the_nodes_of_a_cluster_share_the_trials(folder: Path) -> None:
    """Two nodes of one CPU train two networks at a time, one each, of images that only the leader has read."""
    with short_folder() as tmp, two_nodes(tmp) as environment:
        address = environment["RAY_ADDRESS"]
        with search(folder, tmp, *TINY, *TINY_NETWORKS, "--ray", address, **environment) as process:
            assert process.stderr is not None
            said = process.stderr.read()
        assert process.returncode == 0, said
    _check_result(folder)
    nodes = {one["name"]: one["node"] for one in leaderboard(folder)["networks"]}
    assert len(set(nodes.values())) == 2
    assert nodes["26"] != nodes["28"]


def _check_result(folder: Path) -> None:
    """Four networks in table and picture, one chosen, and nothing said on standard output but that."""
    content = leaderboard(folder)
    assert sorted(one["name"] for one in content["networks"]) == ["26", "28", "s01", "s02"]
    for one in content["networks"]:
        epochs = [record["epoch"] for record in one["epochs"]]
        assert one["result"] in ("finished", "cut")
        assert epochs == list(range(1, (4 if one["result"] == "finished" else 2) + 1))
    chosen = next(one for one in content["networks"] if one["name"] == content["choice"]["network"])
    assert chosen["result"] == "finished"
    assert chosen["best_validation_accuracy"] > 0.6
    assert (folder / "searches/shapes/accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "| 26" in (folder / "searches/shapes/leaderboard.md").read_text()
    printed = (folder / "stdout").read_text().splitlines()
    first = next(line for line in printed if line.strip())
    assert set(first.split()) <= {"training", "validation"}, "the table's headings, and no word of Ray's before"
    words = shlex.split(printed[-1])
    assert words[:3] == ["cnnsvc", "train", "shapes"]
    assert words[words.index("--arch") + 1] == chosen["notation"]
    assert printed[-1] == content["choice"]["command"]
