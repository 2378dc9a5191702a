"""Measures against a gap between training and validation accuracy: what each one changes in a plain recipe."""

from dataclasses import dataclass, field
from typing import Any, Final

from cnnsvc.errors import InvalidError

PLAIN: Final = "plain recipe"
DEFAULT: Final = "default recipe"

_PLAIN_SETTINGS: Final[dict[str, Any]] = {
    "augment": "light",
    "averaging": 0.0,
    "balance": "none",
    "label_smoothing": 0.0,
    "schedule": "cosine",
    "smoothing": 1,
    "warmup_epochs": 1.0,
    "weight_decay": 0.0,
}
_INITIALISED_BY_KERAS: Final = {
    "convolution_gain": 1.0,
    "flat_inputs": 2**31,
    "first_dense_gain": 1.0,
    "dense_gain": 1.0,
    "dense_bias": 0.0,
}
"""Weights of variance 1 / fan-in, no scaling of the flattened inputs, no bias."""


@dataclass(frozen=True)
class Measure:
    """Changes of settings, of what the notation leaves open, and of signs in the notation."""

    settings: dict[str, Any] = field(default_factory=lambda: _PLAIN_SETTINGS)
    choices: dict[str, Any] = field(default_factory=dict)
    """Of training.network.NetworkChoices."""
    signs: dict[str, str] = field(default_factory=dict)


def _with(**settings: Any) -> Measure:
    return Measure({**_PLAIN_SETTINGS, **settings})


MEASURES: Final[dict[str, Measure]] = {
    PLAIN: Measure(),
    "no augmentation": _with(augment="none"),
    "full augmentation": _with(augment="full"),
    "balance by weights": _with(balance="weights"),
    "balance by copies": _with(balance="copies"),
    "no dropout": Measure(signs={" d¼": "", " d½": ""}),
    "dropout 50 %": Measure(signs={" d¼": " d½"}),
    "batch norm momentum 0.99": Measure(choices={"batch_norm_momentum": 0.99}),
    "L2 on the dense layers": Measure(signs={"R": "RL2"}),
    "weight decay 0.01": _with(weight_decay=0.01),
    "label smoothing 0.1": _with(label_smoothing=0.1),
    "initialisation of Keras": Measure(choices=_INITIALISED_BY_KERAS),
    "no warm-up": _with(warmup_epochs=0.0),
    "constant learning rate": _with(schedule="constant"),
    "weight averaging 0.99": _with(averaging=0.99),
    "best epoch of a smoothed curve": _with(smoothing=3),
    "float32": _with(precision="float32"),
    DEFAULT: Measure({}),
}
"""By name, in the order of the table. The plain recipe is written out, so that it stays when the default changes."""


def measure_of(name: str) -> Measure:
    """Raises InvalidError that names what is known."""
    try:
        return MEASURES[name]
    except KeyError:
        raise InvalidError(f"no measure is called {name!r}; known are {', '.join(MEASURES)}") from None
