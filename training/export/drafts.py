"""Drafts of the INT8 file, one a recipe: the proof decides which of them, if any, becomes part of the bundle."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnsvc.engines.load import open_engine
from cnnsvc.errors import CnnsvcError
from training.evaluate import predict_batch_size
from training.export.agreement import ROUNDED, Candidate
from training.export.calibration import calibrate
from training.export.folding import fold
from training.export.int8 import INT8_NAME, RECIPES, weighted, write_int8
from training.export.parity import Proof, accepted_draft, failures_of
from training.trained import Trained


@dataclass(frozen=True)
class Drafts:
    folder: Path
    candidates: list[Candidate]
    """Every draft in every engine."""
    reason: str = ""
    """Why there are none."""

    def publish(self, proof: Proof, folder: Path) -> tuple[str | None, str]:
        """Puts the best draft that every engine accepts into the bundle folder: its name, and what to tell of it.

        Those that leave layers in float, and are slower for it, only where no other is accepted.
        """
        fast = [str(recipe) for recipe in RECIPES if not recipe.has_float_ends]
        slower = [str(recipe) for recipe in RECIPES if recipe.has_float_ends]
        draft = accepted_draft(proof.agreements, fast) or accepted_draft(proof.agreements, slower)
        if draft is None:
            return None, f"{INT8_NAME} is left out: {self.reason or failures_of(proof, INT8_NAME)}"
        shutil.copyfile(self.folder / draft / INT8_NAME, folder / INT8_NAME)
        return draft, f"{INT8_NAME} is written: {draft}"


@contextlib.contextmanager
def written_drafts(trained: Trained, metadata: dict[str, str], engines: tuple[str, ...]) -> Iterator[Drafts]:
    """Every recipe's file, loaded into these engines; the files and the engines go with the context."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnsvc-int8-")))
        candidates, reason = [], ""
        try:
            _write(trained, metadata, folder)
            for recipe in RECIPES:
                for name in engines:
                    engine = open_engine(name, folder / str(recipe) / INT8_NAME, num_threads=1)
                    stack.callback(engine.close)
                    candidates.append(Candidate(INT8_NAME, name, "pixels", engine.run, "int8", ROUNDED, str(recipe)))
        except (CnnsvcError, np.linalg.LinAlgError, MemoryError) as error:  # what is only for speed costs no training
            candidates, reason = [], str(error) or type(error).__name__
        yield Drafts(folder, candidates, reason)


def _write(trained: Trained, metadata: dict[str, str], folder: Path) -> None:
    layers = fold(trained.network)
    batch_size = predict_batch_size(trained.network)
    inputs = calibrate(trained.network, weighted(layers), trained.calibration_nhwc, batch_size=batch_size)
    for recipe in RECIPES:
        (folder / str(recipe)).mkdir()
        write_int8(layers, inputs, recipe, metadata, trained.image, folder / str(recipe) / INT8_NAME)
