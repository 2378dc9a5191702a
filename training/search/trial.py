"""One training of a search, in a process that Ray starts: on this machine or on another one of a cluster."""

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cnnsvc.manifest import ImageShape
from training.notation import parse
from training.prepare import Prepared
from training.progress import Reporter
from training.settings import TrainSettings
from training.trained import EpochRecord, Labelled

if TYPE_CHECKING:  # TensorFlow's seconds are spent where a trial runs, not where the search is led
    import keras

TRIAL: Final = "trial"
NETWORK: Final = "network"
NOTATION: Final = "notation"
"""A trial's configuration is {TRIAL: {NETWORK: …, NOTATION: …}}."""


@dataclass(frozen=True)
class TrialData:
    """What every trial trains on, as Ray hands it round: decoded, so that no node needs the folder."""

    image: ImageShape
    num_classes: int
    training_nhwc: NDArray[np.uint8]
    training_labels: NDArray[np.int32]
    validation_nhwc: NDArray[np.uint8]
    validation_labels: NDArray[np.int32]


def trial_data(prepared: Prepared) -> TrialData:
    training, validation = prepared.cache.training, prepared.cache.validation
    return TrialData(
        prepared.image,
        len(prepared.listing.class_names),
        np.asarray(training.images_nhwc),
        training.labels,
        np.asarray(validation.images_nhwc),
        validation.labels,
    )


class TrialReporter(Reporter):
    """Hands each epoch to Tune, which ends the trial there when it is cut; says nothing."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))

    def say(self, text: str) -> None:
        """Nobody reads it where the trial runs."""

    def epoch(self, record: EpochRecord, num_epochs: int) -> None:
        import ray
        from ray import tune

        tune.report({**asdict(record), "node": ray.get_runtime_context().get_node_id()})


def run_trial(config: dict[str, Any], data: TrialData, settings: TrainSettings, num_cpus: int) -> None:
    """Trains the network in the configuration by the recipe in the settings. Raises TrainingError."""
    from training.fit import fit
    from training.network import build_network
    from training.tensorflow_backend import choose_device, limit_threads, memory_errors_told

    limit_threads(num_cpus)
    device = choose_device(settings)
    architecture = parse(config[TRIAL][NOTATION])

    def build() -> "keras.Model":
        return build_network(architecture, data.image, data.num_classes, seed=settings.seed)

    with memory_errors_told():
        fit(
            build,
            data.image,
            Labelled([], data.training_nhwc, data.training_labels, []),
            Labelled([], data.validation_nhwc, data.validation_labels, []),
            settings,
            device,
            TrialReporter(),
        )
