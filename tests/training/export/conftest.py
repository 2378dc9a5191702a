"""One exported bundle for all tests that only look at it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from training.trained import Trained


@dataclass(frozen=True)
class Exported:
    trained: "Trained"
    path: Path
    steps: list[str]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from tests.training.export.networks import finished_training  # loads TensorFlow
    from training.export import bundle
    from training.export.bundle import export_bundle

    folder = tmp_path_factory.mktemp("exported")
    trained = finished_training(folder / "images")
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:  # what is exported must not depend on the machine's CPU
        patch.setattr(bundle, "has_bfloat16", lambda: False)
        return Exported(trained, export_bundle(trained, folder / "models", on_step=steps.append), steps)
