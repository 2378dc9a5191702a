"""training/search/run.py and settings.py without Ray: flags, refusals, the command to go on with."""

import dataclasses
import io
import shlex
import socket
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cnnsvc.errors import DatasetError, InvalidError, SettingError, UnsupportedError
from cnnsvc.options import with_settings
from tests.images import write_image_folder
from tests.training.search.searches import require_ray
from tests.training.search.test_journal import PLAN
from training.search.journal import begin_journal
from training.search.run import search, train_command
from training.search.settings import SEARCHED, SearchSettings, recipe
from training.settings import TrainSettings

NOTATION = "C: 16n | 16n p3 d¼ D: 8R"


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.mark.parametrize(
    "settings",
    [
        SearchSettings(),
        SearchSettings(
            epochs=7,
            image_size=32,
            learning_rate=1e-4,
            deterministic=True,
            color="grayscale",
            balance="copies",
            averaging=0.9,
        ),
        SearchSettings(networks=99, grace_epochs=3, cpus_per_trial=2, split="keras", drop_conflicts=True, seed=1),
    ],
)
def test_the_command_trains_the_network_by_the_recipe_of_the_search(settings: SearchSettings) -> None:
    """What is printed at the end, typed into a shell, gives `cnnsvc train` the very settings of the trial."""
    received: list[TrainSettings] = []
    app = typer.Typer()

    @app.command()
    @with_settings(TrainSettings)
    def train(settings: TrainSettings, folder: Path, name: str = typer.Option()) -> None:
        assert (str(folder), name) == ("my data/fl&wers", "fl-wers")
        received.append(settings)

    words = shlex.split(train_command(Path("my data/fl&wers"), NOTATION, settings))
    assert words[:2] == ["cnnsvc", "train"]
    result = CliRunner().invoke(app, words[2:])
    assert result.exit_code == 0, result.output
    assert received == [dataclasses.replace(recipe(settings), arch=NOTATION)]


def test_a_folder_whose_name_no_model_may_have() -> None:
    """The model of the command is then called model."""
    assert " --name model " in train_command(Path("/_"), NOTATION, SearchSettings())


def test_what_a_search_decides_itself_is_no_flag() -> None:
    """A search takes the recipe's flags, but neither network nor patience, in the environment neither."""
    received: list[SearchSettings] = []
    app = typer.Typer()

    @app.command()
    @with_settings(SearchSettings, only=SEARCHED)
    def command(settings: SearchSettings) -> None:
        received.append(settings)

    runner = CliRunner()
    result = runner.invoke(app, ["--epochs", "3", "--networks", "5"], env={"CNNSVC_PATIENCE": "2", "CNNSVC_ARCH": "x"})
    assert result.exit_code == 0
    assert received == [SearchSettings(epochs=3, networks=5)]
    others = {field.name for field in dataclasses.fields(TrainSettings)} - set(SEARCHED)
    assert {"model", "arch", "patience", "resume"} <= others
    for name in others:
        assert runner.invoke(app, ["--" + name.replace("_", "-"), "1"]).exit_code == 2


@pytest.mark.parametrize(("field", "value"), [("networks", 1), ("reduction", 1), ("gpus_per_trial", -0.5)])
def test_a_setting_out_of_range_is_refused(field: str, value: float) -> None:
    """As those of a training are."""
    with pytest.raises(SettingError, match=f"--{field.replace('_', '-')} is {value}"):
        dataclasses.replace(SearchSettings(), **{field: value})  # type: ignore[arg-type]  # on purpose


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An install without Ray says what to install, before anything is read."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnsupportedError, match=r"cnnsvc\[search\]"):
        search(tmp_path / "absent", tmp_path / "search", SearchSettings(), console=quiet())


def test_a_resumed_search_goes_on_as_it_began(tmp_path: Path) -> None:
    """A flag that says otherwise is refused; so is a second search in the same folder."""
    begin_journal(tmp_path, PLAN).__exit__(None, None, None)
    with pytest.raises(SettingError, match=r"--epochs is 9, but the search began with 4"):
        search(tmp_path, tmp_path, SearchSettings(epochs=9), resume=True, console=quiet())
    with pytest.raises(InvalidError, match="go on with it by --resume"):
        search(tmp_path, tmp_path, SearchSettings(), console=quiet())
    with pytest.raises(InvalidError, match="holds no search to resume"):
        search(tmp_path, tmp_path / "other", SearchSettings(), resume=True, console=quiet())


def test_other_images_than_the_search_began_with_are_refused(tmp_path: Path) -> None:
    """Half of the networks on other images would make the table worthless."""
    require_ray()
    write_image_folder(tmp_path / "shapes", 2, 8, 16)
    begin_journal(tmp_path / "search", PLAN).__exit__(None, None, None)
    with pytest.raises(InvalidError, match="not those that the search began with"):
        search(tmp_path / "shapes", tmp_path / "search", SearchSettings(cpus_per_trial=2), resume=True, console=quiet())


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":1"])
def test_an_address_where_nobody_answers_is_told_at_once(tmp_path: Path, address: str) -> None:
    """Before the images are read, and nothing is written."""
    require_ray()
    with pytest.raises(InvalidError, match=f"--ray is '{address}'"):
        search(tmp_path / "absent", tmp_path / "search", SearchSettings(), ray_address=address, console=quiet())
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(InvalidError, match="nobody answers there"):
            search(tmp_path / "absent", tmp_path / "search", SearchSettings(), ray_address=address, console=quiet())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_images_is_told_before_anything_starts(tmp_path: Path) -> None:
    """And nothing is written."""
    require_ray()
    with pytest.raises(DatasetError):
        search(tmp_path / "absent", tmp_path / "search", SearchSettings(), console=quiet())
    assert list(tmp_path.iterdir()) == []
