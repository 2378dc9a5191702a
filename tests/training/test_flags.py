"""What the training side tells people to type must exist."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import training
from training.ablate_command import ablate
from training.command import train
from training.inspect_command import inspect as inspect_data
from training.networks_command import networks
from training.preview_command import preview
from training.search_command import search
from training.settings import TrainSettings

FOLDER = Path(training.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


_OTHERS = {"--json", "--measure", "--xla"}
"""Flags whose parameter has another name, and the beginning of what JAX's compiler takes."""


def known_flags() -> set[str]:
    names = [field.name for field in dataclasses.fields(TrainSettings)]
    names += [
        name
        for command in (train, ablate, networks, inspect_data, preview, search)
        for name in inspect.signature(command).parameters
    ]
    names += ["no_" + field.name for field in dataclasses.fields(TrainSettings) if isinstance(field.default, bool)]
    return {"--" + name.replace("_", "-") for name in names} | {
        "--json",
        "--measure",
        "--xla",
    }  # the last is of XLA_FLAGS


def mentioned_flags(path: Path) -> set[str]:
    """In the strings of a program, or in a template's words set as code."""
    text = path.read_text()
    if path.suffix == ".j2":
        return set(re.findall(r"<code>(--[a-z-]+)", text))
    strings = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    return {flag for value in strings if isinstance(value, str) for flag in FLAG.findall(value) if flag != "--"}


@pytest.mark.parametrize("path", sorted([*FOLDER.rglob("*.py"), *FOLDER.rglob("*.j2")]), ids=lambda path: path.name)
def test_every_flag_that_is_named_exists(path: Path) -> None:
    """An error that advises a flag advises one that `cnnsvc train` takes, or another command of training."""
    assert mentioned_flags(path) <= known_flags()


def test_flags_are_found() -> None:
    """The search itself finds the flags of a message that is known to hold some."""
    assert {"--learning-rate", "--export-dead"} <= mentioned_flags(FOLDER / "run.py")
