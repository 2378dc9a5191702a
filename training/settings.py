"""The settings of one training run, the default recipe among them: one field is one flag of `cnnsvc train`."""

import dataclasses
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from typer.models import OptionInfo

from cnnsvc.errors import SettingError
from cnnsvc.options import setting

Balance = Literal["none", "weights", "copies"]
DeviceChoice = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
Augmentation = Literal["none", "light", "full"]
Color = Literal["rgb", "grayscale"]
SplitRule = Literal["grouped", "keras"]
Schedule = Literal["cosine", "constant"]

LEAST_ADVISED_RATE: Final = 1e-5
"""Down to here a lower learning rate is what we advise where training goes wrong."""
CHANNELS: Final[dict[Color, Literal[1, 3]]] = {"rgb": 3, "grayscale": 1}


@dataclass(frozen=True)
class TrainSettings:
    """Checked when made. Raises SettingError for a value out of its range."""

    model: Annotated[str | None, setting("Network by its name in the catalogue; 26 without --arch.")] = None
    arch: Annotated[str | None, setting("Network by its notation, 'C: … D: …', instead of --model.")] = None

    # The recipe. Why not Keras' defaults: with them the dense layer of network 26 dies in the first epoch.
    epochs: Annotated[int, setting("Most epochs to train.", min=1, max=10_000)] = 20
    batch_size: Annotated[int, setting("Images a training step, all devices together.", min=1, max=4096)] = 30
    learning_rate: Annotated[float, setting("Highest learning rate of Adam.", min=1e-7, max=1.0)] = 2e-3
    warmup_epochs: Annotated[
        float, setting("Epochs in which the learning rate climbs from 0; the schedule follows.", min=0, max=1000)
    ] = 1.0
    schedule: Annotated[
        Schedule, setting("What the learning rate does after the warm-up: a cosine to 0 in the last epoch, or stays.")
    ] = "cosine"
    weight_decay: Annotated[float, setting("Decoupled weight decay (AdamW) a step; 0 = none.", min=0, max=1)] = 0.0
    label_smoothing: Annotated[
        float, setting("Share of each label that is spread over all classes; 0 = none.", min=0, max=0.5)
    ] = 0.0
    averaging: Annotated[
        float, setting("Momentum of a running average of the weights, such as 0.99; 0 = none.", min=0, max=0.9999)
    ] = 0.0
    smoothing: Annotated[
        int,
        setting("The best epoch has the highest mean validation accuracy of so many last ones.", min=1, max=1000),
    ] = 1
    patience: Annotated[
        int, setting("Epochs without a better validation accuracy before stopping; 0 = never.", min=0, max=10_000)
    ] = 0
    augment: Annotated[
        Augmentation, setting("Random changes to training images: light = flip, rotation, zoom; full = all.")
    ] = "light"
    augment_strength: Annotated[
        float, setting("How far these changes go: a multiple of their ranges; 0 = no change.", min=0, max=3)
    ] = 1.0
    balance: Annotated[
        Balance,
        setting(
            "Classes of unequal size: weights = each weighs the same in the loss;"
            " copies = images of smaller ones are repeated up to the size of the largest."
        ),
    ] = "none"

    # The scores.
    calibrate: Annotated[
        bool, setting("Fit a temperature on the validation images, so that scores say how often they are right.")
    ] = True
    accept_share: Annotated[
        float,
        setting(
            "Least share of the validation images named right that stay above the threshold below which an image is"
            " of no class; 1 = no threshold.",
            min=0.5,
            max=1.0,
        ),
    ] = 0.95

    # The data.
    image_size: Annotated[
        int | None, setting("Height and width in pixels; the network's own where not given.", min=8, max=2048)
    ] = None
    color: Annotated[Color, setting("Channels of the images.")] = "rgb"
    validation_split: Annotated[float, setting("Share of the images kept for validation.", min=0.001, max=0.9)] = 0.25
    split: Annotated[
        SplitRule,
        setting(
            "Who is in which subset: grouped = duplicates never divided, classes by their share;"
            " keras = as image_dataset_from_directory."
        ),
    ] = "grouped"
    drop_conflicts: Annotated[
        bool, setting("Leave out images that are there under two labels, the same or nearly.")
    ] = False
    seed: Annotated[int, setting("Seed of the split, the weights, the shuffling.", min=0, max=2**32 - 1)] = 100
    cache_limit_mib: Annotated[
        int, setting("Largest cache of decoded images in memory, in MiB; above, a temporary file.", min=0, max=2**20)
    ] = 2048

    # The machine.
    device: Annotated[DeviceChoice, setting("Where to train; auto = every GPU, the CPU if there is none.")] = "auto"
    precision: Annotated[
        Precision, setting("Number format of the arithmetic; auto = mixed on GPUs that gain from it.")
    ] = "auto"
    deterministic: Annotated[bool, setting("Same seed, same machine, same weights; slower.")] = False

    resume: Annotated[bool, setting("Go on with a run that was cut, after its last whole epoch.")] = False
    export_dead: Annotated[bool, setting("Export the network even when it did not learn.")] = False

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), *typing.get_args(hints[field.name]))


def _check(name: str, value: Any, kind: Any, option: OptionInfo) -> None:
    """The same limits for a caller from Python as for one from the command line."""
    flag = "--" + name.replace("_", "-")
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else None
    if choices and value not in choices:
        raise SettingError(f"{flag} is {value!r}; allowed are {', '.join(choices)}")
    if value is None or option.min is None:
        return
    # A NaN is in no range.
    if not option.min <= value <= (option.max or float("inf")):
        raise SettingError(f"{flag} is {value}; allowed is {option.min} to {option.max}")
