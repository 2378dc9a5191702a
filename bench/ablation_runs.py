"""The runs of the ablation: what each one changes in the recipe, and one of them from data to figures."""

import dataclasses
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cnnsvc.manifest import ImageShape
from training.cache import fill_cache
from training.catalogue import lookup
from training.dataset import Split, Subset, scan
from training.network import NetworkChoices
from training.notation import parse
from training.prepare import Prepared, prepare
from training.progress import Reporter
from training.settings import TrainSettings
from training.trained import EpochRecord, Labelled

IMAGE_SIZES: Final = {"flowers": 180, "cifar10": 32}
NETWORKS: Final = ("26", "28")
SEEDS: Final = (1, 2, 3, 4, 5)

_KERAS_CHOICES: Final = {
    "convolution_gain": 1.0,
    "flat_inputs": 2**31,
    "first_dense_gain": 1.0,
    "dense_gain": 1.0,
    "dense_bias": 0.0,
}
"""Weights as Keras would start them: variance 1 / fan-in, no scaling of the flattened inputs, no bias."""


@dataclass(frozen=True)
class Variant:
    """One change to the recipe: of settings, of what the notation leaves open, or of signs in the notation."""

    settings: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    """Replacements in the network's notation."""


VARIANTS: Final[dict[str, Variant]] = {
    "recipe": Variant(),
    "float32": Variant({"precision": "float32"}),
    "no augmentation": Variant({"augment": "none"}),
    "full augmentation": Variant({"augment": "full"}),
    "no dropout": Variant(signs={" d¼": ""}),
    "dropout 50 %": Variant(signs={" d¼": " d½"}),
    "batch norm momentum 0.99": Variant(choices={"batch_norm_momentum": 0.99}),
    "L2 on the dense layers": Variant(signs={"R": "RL2"}),
    "weight decay 0.01": Variant({"weight_decay": 0.01}),
    "label smoothing 0.1": Variant({"label_smoothing": 0.1}),
    "initialisation of Keras": Variant(choices=_KERAS_CHOICES),
    "no warm-up": Variant({"warmup_epochs": 0.0}),
    "constant learning rate": Variant({"schedule": "constant"}),
    "weight averaging 0.99": Variant({"averaging": 0.99}),
}


@dataclass(frozen=True)
class Data:
    prepared: Prepared
    test: Labelled


def load(root: Path, name: str, seed: int) -> Data:
    """The photographs of root/<name>/{train,test}, split by the seed."""
    size = IMAGE_SIZES[name]
    image, reporter = ImageShape(size, size, 3), _silent()
    prepared = prepare(scan(root / name / "train"), image, TrainSettings(seed=seed), reporter)
    listing = scan(root / name / "test")
    everything = Subset(listing.files, listing.labels)
    cache = fill_cache(listing, Split(everything, everything), image, limit_mib=4096, reporter=reporter)
    return Data(prepared, cache.training)


def run(data: Data, network: str, variant: str, seed: int) -> dict[str, Any]:
    """Trains once. By epoch the records of the fit and, as test_accuracy, the share of test photographs named right."""
    from training.evaluate import accuracy, predict_scores  # these load TensorFlow
    from training.fit import fit
    from training.network import build_network
    from training.tensorflow_backend import choose_device

    changes = VARIANTS[variant]
    notation = str(lookup(network).architecture)
    for old, new in changes.signs.items():
        assert old in notation, f"{variant}: {old!r} is not in {notation!r}"
        notation = notation.replace(old, new)
    settings = TrainSettings(seed=seed, **changes.settings)
    built, tested = [], []

    def build() -> Any:
        built.append(
            build_network(
                parse(notation),
                data.prepared.image,
                len(data.prepared.listing.class_names),
                seed=seed,
                choices=dataclasses.replace(NetworkChoices(), **changes.choices),
            )
        )
        return built[-1]

    class Tester(Reporter):
        def epoch(self, record: EpochRecord, num_epochs: int) -> None:
            scores = predict_scores(built[-1], data.test.images_nhwc, batch_size=64)
            tested.append(accuracy(scores, data.test.labels))

    cache = data.prepared.cache
    reporter = Tester(Console(file=io.StringIO()))
    device = choose_device(settings)
    fitted = fit(build, data.prepared.image, cache.training, cache.validation, settings, device, reporter)
    return {
        "notation": notation,
        "parameters": built[-1].count_params(),
        "precision": device.dtype_policy,
        "best_epoch": fitted.best_epoch,
        "epochs": [
            {**dataclasses.asdict(record), "test_accuracy": share}
            for record, share in zip(fitted.history, tested, strict=True)
        ],
    }


def _silent() -> Reporter:
    return Reporter(Console(file=io.StringIO()))
