"""Reads a Dockerfile and a .dockerignore, as much of them as ours use, for the rehearsal; the rest is refused."""

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

_INSTRUCTIONS: Final = frozenset(
    ("FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
)


@dataclass(frozen=True)
class Step:
    instruction: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of a JSON array, or those that blanks separate; without the flags and a health check's CMD."""
        text = re.sub(r"^(--\S+\s+)*", "", self.text)
        text = text.removeprefix("CMD ") if self.instruction == "HEALTHCHECK" else text
        return [str(word) for word in json.loads(text)] if text.startswith("[") else shlex.split(text)

    @property
    def flags(self) -> dict[str, str]:
        """The leading --name=value words."""
        found = re.match(r"^(--\S+\s+)*", self.text)
        assert found is not None
        return dict(word.removeprefix("--").split("=", 1) for word in found[0].split())


@dataclass(frozen=True)
class Stage:
    """`base` is an image or the name of a stage before; the last stage, which is built by default, has no name."""

    base: str
    name: str
    steps: list[Step]


def read_stages(text: str) -> list[Stage]:
    """Stages in order. Raises ValueError for an instruction that ours does not use."""
    stages: list[Stage] = []
    for step in _steps(text):
        if step.instruction not in _INSTRUCTIONS:
            raise ValueError(f"Dockerfile: {step.instruction} is not rehearsed; expected {', '.join(_INSTRUCTIONS)}")
        if step.instruction == "FROM":
            base, *name = step.words
            stages.append(Stage(base, name[1] if name else "", []))
        elif stages:
            stages[-1].steps.append(step)
        else:
            raise ValueError(f"Dockerfile: {step.instruction} comes before FROM")
    return stages


def needed_stages(stages: list[Stage], target: str = "") -> list[Stage]:
    """Those that the stage of this name is made of, itself the last: what a build does, and no more."""
    by_name = {stage.name: stage for stage in stages}
    wanted = by_name[target]
    sources = [wanted.base, *(step.flags["from"] for step in wanted.steps if "from" in step.flags)]
    needed = [stage for source in sources if source in by_name for stage in needed_stages(stages, source)]
    return [stage for stage in stages if stage in needed or stage is wanted]


def _steps(text: str) -> list[Step]:
    """Comment lines are dropped, also from between continued ones."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    words = [line.strip().partition(" ") for line in joined.splitlines()]
    return [Step(instruction.upper(), rest.strip()) for instruction, _, rest in words]


def context_files(root: Path, ignore_text: str) -> list[PurePath]:
    """The files under `root` that a build sees, relative to it."""
    patterns = [line.strip() for line in ignore_text.splitlines() if line.strip() and not line.startswith("#")]
    return sorted(_kept(root, PurePath(), patterns))


def _kept(root: Path, folder: PurePath, patterns: list[str]) -> list[PurePath]:
    files: list[PurePath] = []
    for entry in (root / folder).iterdir():
        path = folder / entry.name
        if not entry.is_dir():
            files += [] if _is_ignored(path, patterns) else [path]
        elif not _is_ignored(path, patterns) or any(p.startswith(f"!{path}/") for p in patterns):
            files += _kept(root, path, patterns)
    return files


def _is_ignored(path: PurePath, patterns: list[str]) -> bool:
    """The last pattern that matches the path or a folder above it decides; ! keeps, **/ is any depth."""
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if any(_matches(candidate, wanted) for candidate in (path, *path.parents[:-1])):
            ignored = not pattern.startswith("!")
    return ignored


def _matches(path: PurePath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.name, pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePath(pattern).parts) and fnmatch.fnmatchcase(str(path), pattern)
