"""Outside programs that tests of what is deployed run for real."""

import shutil

import pytest


def require(program: str, package: str) -> str:
    """The path of a program; where it is absent the test is skipped, with the package that has it."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return path
