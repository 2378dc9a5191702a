"""training/settings.py: ranges and choices."""

import dataclasses
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cnnsvc.errors import SettingError
from cnnsvc.options import with_settings
from training.settings import CHANNELS, TrainSettings


def test_the_defaults_pass_their_own_checks() -> None:
    """Settings without arguments are a valid run, split as in the article."""
    settings = TrainSettings()
    assert (settings.validation_split, settings.seed, settings.batch_size) == (0.25, 100, 30)
    assert CHANNELS[settings.color] == 3


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("epochs", 0, "--epochs is 0; allowed is 1 to 10000"),
        ("batch_size", 4097, "--batch-size is 4097"),
        ("validation_split", float("nan"), "--validation-split is nan"),
        ("validation_split", 1.0, "allowed is 0.001 to 0.9"),
        ("learning_rate", 0.0, "--learning-rate is 0.0"),
        ("seed", -1, "--seed is -1"),
        ("image_size", 7, "allowed is 8 to 2048"),
        ("device", "tpu", "--device is 'tpu'; allowed are auto, cpu, gpu"),
        ("augment", "heavy", "allowed are none, light, full"),
        ("augment_strength", 3.5, "--augment-strength is 3.5; allowed is 0 to 3"),
        ("balance", "balanced", "allowed are none, weights, copies"),
        ("split", "random", "allowed are grouped, keras"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(field: str, value: Any, complaint: str) -> None:
    """Settings made in Python are checked as strictly as flags, and the message names the flag."""
    with pytest.raises(SettingError) as error:
        dataclasses.replace(TrainSettings(), **{field: value})
    assert complaint in str(error.value)


def test_every_field_is_a_flag() -> None:
    """The command line gives the settings what its flags say, choices included."""
    received: list[TrainSettings] = []
    app = typer.Typer()

    @app.command()
    @with_settings(TrainSettings)
    def command(settings: TrainSettings) -> None:
        received.append(settings)

    runner = CliRunner()
    flags = ["--epochs", "3", "--color", "grayscale", "--image-size", "64", "--deterministic", "--arch", "C: 8 D: 4R"]
    assert runner.invoke(app, flags).exit_code == 0
    expected = TrainSettings(epochs=3, color="grayscale", image_size=64, deterministic=True, arch="C: 8 D: 4R")
    assert received == [expected]
    assert runner.invoke(app, ["--precision", "float64"]).exit_code == 2
