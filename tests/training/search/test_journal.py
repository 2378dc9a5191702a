"""training/search/journal.py: what a search keeps on disk, and what is left of it after a kill."""

import dataclasses
from pathlib import Path

import pytest

from cnnsvc.errors import InvalidError
from cnnsvc.manifest import ImageShape
from tests.training.search.outcomes import curve
from training.search.journal import EVENTS_FILE, PLAN_FILE, Plan, begin_journal, read_plan, resume_journal
from training.search.outcome import Candidate, Status
from training.search.settings import SearchSettings

PLAN = Plan(
    format=1,
    folder="shapes",
    settings=dataclasses.asdict(SearchSettings(epochs=4, networks=3)),
    image=ImageShape(16, 16, 3),
    class_names=["blue", "red"],
    fingerprint={"blue": "1", "red": "2"},
    num_training=300,
    num_validation=100,
    least_right=60,
    candidates=[Candidate(name, f"C: 8 D: {name}R", 10) for name in ("1", "2", "3")],
)
CURVE = curve((0.25, 1 / 3))


def write_half_a_search(folder: Path) -> None:
    """Network 1 finished, 2 failed for good, 3 was under way when it was killed."""
    with begin_journal(folder, PLAN) as journal:
        for name in ("1", "2", "3"):
            journal.begin(name)
            journal.epoch(name, CURVE[0], "node")
        journal.epoch("1", CURVE[1], "node")
        journal.end("1", Status.FINISHED)
        journal.end("2", Status.FAILED, "the loss became nan")


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    """Plan and curves are the same to the last bit; what has no end waits again, without its curve."""
    write_half_a_search(tmp_path / "new/search")
    assert SearchSettings(**read_plan(tmp_path / "new/search").settings) == SearchSettings(epochs=4, networks=3)
    with resume_journal(tmp_path / "new/search") as journal:
        assert journal.plan == PLAN
        assert journal.outcomes["1"].curve == CURVE
        assert [one.status for one in journal.outcomes.values()] == [Status.FINISHED, Status.FAILED, Status.WAITING]
        assert journal.outcomes["2"].reason == "the loss became nan"
        assert journal.outcomes["3"].curve == ()
        assert [one.name for one in journal.waiting()] == ["3"]


def test_every_torn_last_line_is_dropped(tmp_path: Path) -> None:
    """Wherever a kill cut the file, the search goes on, and what it writes then can be read."""
    write_half_a_search(tmp_path)
    events = tmp_path / EVENTS_FILE
    content = events.read_bytes()
    for length in range(0, len(content), 7):
        events.write_bytes(content[:length])
        with resume_journal(tmp_path) as journal:
            journal.begin("3")
            journal.end("3", Status.CUT)
        with resume_journal(tmp_path) as journal:
            assert journal.outcomes["3"].status is Status.CUT


def test_a_trial_begun_anew_forgets_its_first_half(tmp_path: Path) -> None:
    """The epochs of the killed attempt are not part of the second one's curve."""
    write_half_a_search(tmp_path)
    with resume_journal(tmp_path) as journal:
        journal.begin("3")
        for record in CURVE:
            journal.epoch("3", record, "other")
        journal.end("3", Status.FINISHED)
    with resume_journal(tmp_path) as journal:
        assert journal.outcomes["3"].curve == CURVE
        assert journal.outcomes["3"].node == "other"
        assert journal.waiting() == []


def test_what_failed_by_accident_is_tried_again(tmp_path: Path) -> None:
    """A process that was killed says nothing of its network; once it has an end of its own, that counts."""
    with begin_journal(tmp_path, PLAN) as journal:
        journal.begin("1")
        journal.end("1", Status.FAILED, "the process died", is_repeated=True)
        assert [one.name for one in journal.waiting()] == ["2", "3"]
    with resume_journal(tmp_path) as journal:
        assert [one.name for one in journal.waiting()] == ["1", "2", "3"]
        journal.begin("1")
        journal.end("1", Status.CUT)
    with resume_journal(tmp_path) as journal:
        assert [one.name for one in journal.waiting()] == ["2", "3"]


def test_a_search_is_not_overwritten(tmp_path: Path) -> None:
    """A new one in its folder is refused, and the old one stays."""
    write_half_a_search(tmp_path)
    with pytest.raises(InvalidError, match="holds a search; go on with it by --resume"):
        begin_journal(tmp_path, PLAN)
    with resume_journal(tmp_path) as journal:
        assert journal.outcomes["1"].curve == CURVE


def test_two_cannot_write_at_once(tmp_path: Path) -> None:
    """The second one is refused as long as the first one runs."""
    with begin_journal(tmp_path, PLAN), pytest.raises(InvalidError, match="another search is running"):
        resume_journal(tmp_path)
    resume_journal(tmp_path).__exit__(None, None, None)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        (PLAN_FILE, b"{", r"plan\.json cannot be read"),
        (PLAN_FILE, b'{"format": 2}', r"plan\.json cannot be read"),
        (EVENTS_FILE, b'{"network":"unknown","status":"cut"}\n', r"events\.jsonl cannot be read: 'unknown'"),
        (EVENTS_FILE, b"nonsense\n{}\n", r"events\.jsonl cannot be read"),
        (EVENTS_FILE, b'{"network":"1"}\n', r"events\.jsonl cannot be read"),
    ],
)
def test_a_broken_journal_is_refused(tmp_path: Path, file: str, content: bytes, complaint: str) -> None:
    """What no kill explains is told, not guessed at."""
    write_half_a_search(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidError, match=complaint):
        resume_journal(tmp_path)


def test_nothing_to_resume(tmp_path: Path) -> None:
    """A folder without a search is named, and one that cannot be made as well."""
    with pytest.raises(InvalidError, match="holds no search to resume"):
        resume_journal(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidError, match="no search can be written into"):
        begin_journal(tmp_path / "file/search", PLAN)
