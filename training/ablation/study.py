"""Many trials over several processes; each outcome is a line of a file at once, so that a cut study goes on."""

import dataclasses
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cnnsvc.errors import InternalError, InvalidError
from training.ablation.trial import Data, Outcome, Trial, load, run
from training.quiet import quiet_loading
from training.settings import TrainSettings


@dataclass(frozen=True)
class Study:
    folder: Path
    test: Path | None
    settings: TrainSettings
    """Of the plain recipe what no measure is about: network, epochs, batch size, image size."""
    measures: list[str]
    num_seeds: int
    num_processes: int

    def trials(self) -> list[Trial]:
        """Seed by seed, so that a cut study has whole tables of fewer seeds."""
        seeds = range(self.settings.seed, self.settings.seed + self.num_seeds)
        return [Trial(seed, measure) for seed, measure in itertools.product(seeds, self.measures)]


def outcomes(study: Study, file: Path, say: Callable[[str], None]) -> list[Outcome]:
    """Of all trials; those in the file are not run again. Raises InvalidError for a file that is not a study's."""
    done = {outcome.trial: outcome for outcome in read(file)}
    trials = study.trials()
    to_do = [trial for trial in trials if trial not in done]
    say(f"{len(trials)} trainings, of which {len(trials) - len(to_do)} are in {file}")
    for outcome in _run_all(study, to_do):
        done[outcome.trial] = outcome
        _append(file, outcome)
        best = outcome.best
        test = f", test accuracy {outcome.test[best]:.3f}" if outcome.test else ""
        say(
            f"{outcome.trial.measure}, seed {outcome.trial.seed}: validation accuracy"
            f" {outcome.validation[best]:.3f}{test}, {outcome.seconds:.0f} s"
        )
    return [done[trial] for trial in trials]


def read(file: Path) -> list[Outcome]:
    """The outcomes in a study's file, none where it is absent."""
    try:
        return [msgspec.json.decode(line, type=Outcome) for line in file.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidError(f"{file} is not the file of a study: {error}") from None


def _run_all(study: Study, trials: list[Trial]) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with ProcessPoolExecutor(study.num_processes, context, _start, (study,)) as pool:
        try:
            futures = [pool.submit(_run, trial) for trial in trials]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise InternalError(
                "a process of the study was killed, perhaps for memory; fewer --processes help"
            ) from None
        finally:
            # Whatever ends the study, Ctrl-C or an error: nothing goes on for minutes.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()


class _Worker:
    """What a process of the pool keeps between its trials."""

    study: Study
    data: tuple[int, Data] | None = None


def _start(study: Study) -> None:
    _Worker.study = study
    if study.num_processes > 1:  # two trainings on two cores do more than one on both
        with quiet_loading():
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.list_physical_devices()  # where TensorFlow finds out that there is no GPU, aloud


def _run(trial: Trial) -> Outcome:
    study = _Worker.study
    settings = dataclasses.replace(study.settings, seed=trial.seed)
    if _Worker.data is None or _Worker.data[0] != trial.seed:
        _Worker.data = (trial.seed, load(study.folder, study.test, settings))
    return run(_Worker.data[1], settings, trial.measure)


def _append(file: Path, outcome: Outcome) -> None:
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(outcome) + b"\n")
