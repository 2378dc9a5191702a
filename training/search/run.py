"""The story of `cnnsvc search`: networks by the article's rules, trained, compared, one chosen with reasons."""

import dataclasses
import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from cnnsvc.bundle import check_model_name
from cnnsvc.engines.threads import available_cpus
from cnnsvc.errors import InternalError, InvalidError, SettingError, TrainingError, UnsupportedError
from cnnsvc.manifest import ImageShape
from training.catalogue import DEFAULT_IMAGE_SIZE
from training.dataset import scan
from training.evaluate import least_right
from training.memory import available_memory, check_memory
from training.prepare import Prepared, prepare
from training.progress import Reporter
from training.search.board import board
from training.search.choice import Choice, choose
from training.search.journal import FORMAT, Journal, Plan, begin_journal, check_new, read_plan, resume_journal
from training.search.leaderboard import as_json, markdown
from training.search.outcome import Candidate, Outcome
from training.search.ray_session import check_address, ray_session, resources
from training.search.settings import OF_THE_MACHINE, SearchSettings, changed, recipe
from training.search.space import NAMED, candidates
from training.search.trial import trial_data
from training.settings import CHANNELS
from training.shapes import NetworkShape

MARKDOWN_FILE: Final = "leaderboard.md"
JSON_FILE: Final = "leaderboard.json"
PLOT_FILE: Final = "accuracy.png"


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    plan: Plan
    outcomes: list[Outcome]
    choice: Choice
    command: str | None
    """That trains the chosen network; None where none was chosen."""


def search(
    folder: Path,
    search_dir: Path,
    settings: SearchSettings,
    *,
    ray_address: str | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Found:
    """Trains the networks, chooses one of them and writes the leaderboard into the search folder.

    Raises DatasetError, SettingError and InvalidError before anything trains, UnsupportedError for an install without
    Ray or TensorFlow. What was trained until then stays in the folder, after Ctrl-C too, for `resume`.
    """
    console = console or Console(stderr=True)
    reporter = Reporter(console)
    if resume:
        settings = _resumed_settings(read_plan(search_dir), settings)
    else:
        check_new(search_dir)
    _check_installed()
    if ray_address is not None:
        check_address(ray_address)
    listing = scan(folder)
    size = settings.image_size or DEFAULT_IMAGE_SIZE
    image = ImageShape(size, size, CHANNELS[settings.color])
    tried = [] if resume else _candidates(image, len(listing.class_names), settings, ray_address, reporter)
    prepared = prepare(listing, image, recipe(settings), reporter)
    if resume:
        _check_same_data(read_plan(search_dir), prepared)
    with _journal(search_dir, resume, prepared, settings, tried) as journal:
        try:
            _train_all(journal, prepared, settings, ray_address, reporter, console)
        except KeyboardInterrupt:
            reporter.say(f"interrupted; --resume goes on with what {search_dir} holds")
            raise
    return _conclude(search_dir, journal, settings, folder)


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("tensorflow", "ray", "pyarrow", "pandas")):
        raise UnsupportedError("the search needs Ray Tune, which is not installed; install the extra cnnsvc[search]")


def _resumed_settings(plan: Plan, given: SearchSettings) -> SearchSettings:
    """Those that the search began with, but for the machine's. Raises SettingError for a flag that says otherwise."""
    differing = changed(given)
    of_the_machine = {name: differing.pop(name) for name in OF_THE_MACHINE if name in differing}
    for name, value in differing.items():
        if value != plan.settings.get(name):
            raise SettingError(
                f"--{name.replace('_', '-')} is {value}, but the search began with {plan.settings.get(name)}; a search"
                " goes on as it began: leave the flag out, or begin another one"
            )
    return SearchSettings(**plan.settings | of_the_machine)


def _candidates(
    image: ImageShape, num_classes: int, settings: SearchSettings, ray_address: str | None, reporter: Reporter
) -> list[Candidate]:
    # The memory of other machines is not known here.
    memory_bytes = available_memory() if ray_address is None else None
    if memory_bytes is not None:
        memory_bytes //= max(1, available_cpus() // settings.cpus_per_trial)

    def is_allowed(shape: NetworkShape) -> bool:
        try:
            check_memory(shape, settings.batch_size, memory_bytes)
        except TrainingError:
            return False
        return shape.num_parameters <= settings.max_parameters

    found = candidates(
        settings.networks,
        image,
        num_classes,
        seed=settings.seed,
        max_start_filters=settings.max_start_filters,
        is_allowed=is_allowed,
    )
    absent = [name for name in NAMED if name not in {candidate.name for candidate in found}]
    if absent:
        reporter.say(f"images of {image.height} x {image.width} are too small for network {' and '.join(absent)}")
    return found


def _check_same_data(plan: Plan, prepared: Prepared) -> None:
    if plan.fingerprint != prepared.cache.fingerprint:
        raise InvalidError(
            f"the images in {prepared.listing.folder} are not those that the search began with; begin another one"
        )


def _journal(
    search_dir: Path, resume: bool, prepared: Prepared, settings: SearchSettings, tried: list[Candidate]
) -> Journal:
    if resume:
        return resume_journal(search_dir)
    validation_labels = prepared.cache.validation.labels
    plan = Plan(
        format=FORMAT,
        folder=str(prepared.listing.folder),
        settings=dataclasses.asdict(settings),
        image=prepared.image,
        class_names=prepared.listing.class_names,
        fingerprint=prepared.cache.fingerprint,
        num_training=len(prepared.cache.training.labels),
        num_validation=len(validation_labels),
        least_right=least_right(validation_labels),
        candidates=tried,
    )
    return begin_journal(search_dir, plan)


def _train_all(
    journal: Journal,
    prepared: Prepared,
    settings: SearchSettings,
    ray_address: str | None,
    reporter: Reporter,
    console: Console,
) -> None:
    if not journal.waiting():
        return
    with ray_session(ray_address, settings):
        from training.search.tune import run_trials  # loads Ray

        wanted = resources(settings)
        reporter.say(f"{len(journal.waiting())} networks to train, each on {_words(wanted)}")
        with board(journal.outcomes, settings.epochs, console) as on_change:
            run_trials(journal, trial_data(prepared), settings, wanted, on_change)


def _words(wanted: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {kind.upper()}{'s' if amount > 1 else ''}" for kind, amount in wanted.items())


def _conclude(search_dir: Path, journal: Journal, settings: SearchSettings, folder: Path) -> Found:
    from training.report import save_figure  # loads matplotlib
    from training.search.plot import accuracy_figure

    plan, outcomes = journal.plan, list(journal.outcomes.values())
    choice = choose(outcomes, plan.num_validation, plan.least_right)
    command = None if choice.chosen is None else train_command(folder, choice.chosen.candidate.notation, settings)
    try:
        (search_dir / MARKDOWN_FILE).write_text(markdown(plan, outcomes, choice, command), encoding="utf-8")
        content = msgspec.json.encode(as_json(plan, outcomes, choice, command))
        (search_dir / JSON_FILE).write_bytes(msgspec.json.format(content, indent=2) + b"\n")
        save_figure(accuracy_figure(outcomes, choice.chosen), search_dir / PLOT_FILE)
    except OSError as error:
        raise InternalError(f"the leaderboard cannot be written into {search_dir}: {error.strerror}") from error
    return Found(plan, outcomes, choice, command)


def train_command(folder: Path, notation: str, settings: SearchSettings) -> str:
    """What trains that network by the recipe of the search, to a bundle, as it is typed in a shell."""
    words = ["cnnsvc", "train", str(folder), "--name", _model_name(folder), "--arch", notation]
    for name, value in changed(recipe(settings)).items():
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def _model_name(folder: Path) -> str:
    """The folder's name where a model may be called so."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", folder.resolve().name)
    try:
        check_model_name(name)
    except InvalidError:
        return "model"
    return name
