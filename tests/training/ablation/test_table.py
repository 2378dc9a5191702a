"""training/ablation/table.py: means, spreads and differences of seeds that belong together."""

import pytest

from cnnsvc.errors import InvalidError
from training.ablation.measures import DEFAULT, MEASURES, PLAIN, measure_of
from training.ablation.table import effects_of, table_of
from training.ablation.trial import Outcome, Trial
from training.settings import TrainSettings


def outcome(measure: str, seed: int, validation: float, test: float | None) -> Outcome:
    tests = [] if test is None else [0.0, test, 0.0]
    return Outcome(Trial(seed, measure), "C: 4 D: 8R", 100, 2, [0.5, 0.9, 0.95], [0.1, validation, 0.2], tests, 1.0)


def test_a_row_has_the_means_of_the_best_epochs_and_differences_of_equal_seeds() -> None:
    """Mean and standard deviation over seeds; what only one of two measures was tried with is no difference."""
    found = [
        outcome(PLAIN, 1, 0.6, 0.5),
        outcome(PLAIN, 2, 0.7, 0.6),
        outcome("no dropout", 2, 0.8, 0.64),
        outcome("no dropout", 1, 0.6, 0.52),
        outcome("no dropout", 3, 0.4, 0.10),
    ]
    plain, measured = effects_of(found)
    assert (plain.measure, plain.num_seeds, plain.difference, plain.lowest) == (PLAIN, 2, None, 0.6)
    assert plain.validation.mean == pytest.approx(0.65)
    assert plain.validation.deviation == pytest.approx(0.0707107, rel=1e-5)
    assert plain.gap == pytest.approx(0.25)
    assert measured.difference is not None
    assert measured.difference.mean == pytest.approx(0.03)
    assert measured.difference.deviation == pytest.approx(0.0141421, rel=1e-5)
    assert measured.lowest == 0.4


def test_the_table_prints_them() -> None:
    """A line a measure in the order of the catalogue; without a test folder, validation is compared."""
    found = [outcome("no dropout", 1, 0.8, None), outcome(PLAIN, 1, 0.6, None)]
    assert table_of(found).splitlines()[2:] == [
        "| plain recipe | 1 | 0.900 | 0.600 | +0.300 | 0.600 |  |  |",
        "| no dropout | 1 | 0.900 | 0.800 | +0.100 | 0.800 |  | +0.200 |",
    ]


def test_every_measure_is_a_change_that_exists() -> None:
    """Settings, signs and choices that a measure names are real, and each but one changes the plain recipe."""
    for name, measure in MEASURES.items():
        TrainSettings(**measure.settings)
        assert name in (PLAIN, DEFAULT) or measure != MEASURES[PLAIN]
    assert MEASURES[DEFAULT].settings == {}
    with pytest.raises(InvalidError, match=r"no measure is called 'luck'; known are plain recipe, "):
        measure_of("luck")
