"""Proves one version in a process of its own, at the lowest priority; service.prover alone runs this module.

Hashes, golden answers, timing and warm-up happen where they take nothing from calls, and where a file that crashes its
engine, or fills the memory, ends nothing but this.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from cnnsvc.engines.choice import Trial
from cnnsvc.errors import BundleError, CnnsvcError, Fault, fault_of
from cnnsvc.manifest import Manifest, read_manifest
from cnnsvc.model import Model, ModelOptions, load_model

LOWEST_PRIORITY: Final = 19
_PR_SET_PDEATHSIG: Final = 1
_FIRST_TO_GO: Final = "1000"
"""Where memory runs out, Linux ends this process and not the service."""


class ProofTask(msgspec.Struct, frozen=True):
    path: str
    """models/<name>/<version>"""
    options: ModelOptions
    known: list[Trial]
    """Trials of a network of the same kind: it need not be timed then."""


class Proof(msgspec.Struct, frozen=True):
    """What came out: the trials, or the fault and its reason."""

    trials: list[Trial] = []
    fault: Fault | None = None
    reason: str = ""


def load_in_place(path: Path, options: ModelOptions, known: list[Trial]) -> Model:
    """The model of models/<name>/<version>/. Raises BundleError where a bundle lies in the folder of another."""
    manifest = read_manifest(path)
    if (manifest.name, str(manifest.version)) != (path.parent.name, path.name):
        raise BundleError(
            f"its manifest says {manifest.name} version {manifest.version}; expected"
            f" {path.parent.name} version {path.name}",
            Fault.NAME,
        )
    return load_model(path, options, known)


def is_same_kind(one: Manifest, other: Manifest) -> bool:
    """Whether what is known of the speed of one network holds for the other."""
    return (one.network.notation, one.image, set(one.artifacts), len(one.class_names)) == (
        other.network.notation,
        other.image,
        set(other.artifacts),
        len(other.class_names),
    )


def encode_task(task: ProofTask) -> str:
    return msgspec.json.encode(task, enc_hook=str).decode()


def _prove(task: ProofTask) -> Proof:
    try:
        model = load_in_place(Path(task.path), task.options, task.known)
    except Exception as error:  # whatever it is, it is what is wrong with this version
        reason = str(error) if isinstance(error, CnnsvcError | OSError) else f"{type(error).__name__}: {error}"
        return Proof(fault=fault_of(error), reason=reason)
    return Proof(model.trials)


def main(argument: str) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    with contextlib.suppress(OSError, AttributeError):
        # Whoever asked may be killed: nobody is left to tell then. See prctl(2).
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What an engine may print must not get into the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    task = msgspec.json.decode(argument, type=ProofTask, dec_hook=lambda kind, value: kind(value))
    os.write(answer, msgspec.json.encode(_prove(task)))
    # Engines take their time to end in order, and some crash at it.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
