"""A study's effects as facts of a run, for manifest and report."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnsvc.errors import InvalidError
from training.ablation.measures import DEFAULT, PLAIN
from training.ablation.study import read
from training.ablation.table import effects_of


def ablation_facts(file: Path, notation: str) -> list[dict[str, Any]]:
    """One dictionary a measure. Raises InvalidError where the file is not of a study of this network."""
    outcomes = read(file)
    found = {outcome.notation for outcome in outcomes if outcome.trial.measure in (PLAIN, DEFAULT)}
    if found != {notation}:
        what = f"is of {', '.join(sorted(found))}" if found else "has no training of the plain recipe"
        raise InvalidError(f"{file} {what}; expected a study of {notation}")
    return [{**asdict(effect), "gap": effect.gap} for effect in effects_of(outcomes)]
