"""What the rehearsal reads out of a Dockerfile and a .dockerignore is what a build would do."""

from pathlib import Path, PurePath

import pytest

from deploy.dockerfile import Stage, Step, context_files, needed_stages, read_stages

TEXT = """
# a comment
FROM base:1 AS first
RUN one \\
    # between
    && two
FROM base:1
COPY --from=first /a "/b c" /d/
HEALTHCHECK --interval=10s --retries=3 CMD ["program", "a word"]
CMD ["serve", "--flag"]
"""


def test_stages_and_steps() -> None:
    """Stages are named, continued lines are one, comments are none."""
    first, last = read_stages(TEXT)
    assert first == Stage("base:1", "first", [Step("RUN", "one && two")])
    assert (last.base, last.name, [step.instruction for step in last.steps]) == (
        "base:1",
        "",
        ["COPY", "HEALTHCHECK", "CMD"],
    )


def test_words_and_flags() -> None:
    """Arrays and words are read, flags apart from them."""
    copy, health, command = read_stages(TEXT)[1].steps
    assert (copy.flags, copy.words) == ({"from": "first"}, ["/a", "/b c", "/d/"])
    assert (health.flags["interval"], health.words) == ("10s", ["program", "a word"])
    assert (command.flags, command.words) == ({}, ["serve", "--flag"])


def test_only_needed_stages_are_built() -> None:
    """Of a target, the stages that it begins with and copies from, and theirs."""
    stages = read_stages("""
        FROM b AS one
        FROM one AS two
        FROM b AS three
        COPY --from=two /a /a
        FROM b
        COPY --from=one /a /a
    """)
    assert [stage.name for stage in needed_stages(stages, "three")] == ["one", "two", "three"]
    assert [stage.name for stage in needed_stages(stages)] == ["one", ""]


@pytest.mark.parametrize(
    ("text", "said"), [("FROM a\nADD b c", "ADD is not rehearsed"), ("RUN a", "RUN comes before FROM")]
)
def test_what_it_cannot_do_is_refused(text: str, said: str) -> None:
    """A step that the rehearsal does not know ends it, instead of being passed over."""
    with pytest.raises(ValueError, match=said):
        read_stages(text)


def test_the_context_is_what_the_ignore_file_leaves(tmp_path: Path) -> None:
    """The last pattern that matches decides, for folders as a whole."""
    for name in ("a.toml", "secret", "cnnsvc/x.py", "cnnsvc/__pycache__/x.pyc", "locks/one.txt", "locks/two.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignore = "# all\n*\n!a.toml\n!cnnsvc\n!locks/one.txt\n**/__pycache__\n"
    expected = [PurePath("a.toml"), PurePath("cnnsvc/x.py"), PurePath("locks/one.txt")]
    assert context_files(tmp_path, ignore) == expected
