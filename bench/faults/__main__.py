"""Every fault scenario in its long form, one after the other: the Markdown of all of them, for bench/faults.md.

    python -m bench.faults > bench/faults.md

Takes some hours on a machine that does nothing else. Goes on after one that fails, and ends with 1 where any did or is
not there.
"""

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_REPOSITORY: Final = Path(__file__).parents[2]
_SAMPLES: Final = ".cache/bench/soak.csv"
_CULPRITS: Final = ".cache/bench/culprits"
LONG_FORMS: Final[Mapping[str, Sequence[str]]] = {
    "bench.faults.images": ("--keep", _CULPRITS),
    "bench.faults.api": (),
    "bench.faults.frames": (),
    "bench.faults.idle": (),
    "bench.faults.killed_worker": (),
    "bench.faults.swaps": ("--swaps", "100"),
    "bench.faults.bundles": (),
    "bench.faults.haproxy": ("--rounds", "10"),
    "bench.overload": ("--seconds", "60"),
    "bench.shutdown": ("--rounds", "20"),
    "bench.faults.soak": ("--seconds", "3600", "--samples", _SAMPLES),
}
"""By module, the arguments of a run whose figures are worth writing down; without any they are its defaults."""


def main() -> None:
    (_REPOSITORY / _SAMPLES).parent.mkdir(parents=True, exist_ok=True)
    _say("# Faults\n")
    failed = run_all(LONG_FORMS)
    _say(f"{len(LONG_FORMS) - len(failed)} of {len(LONG_FORMS)} scenarios hold. {_named(failed)}")
    sys.exit(1 if failed else 0)


def run_all(forms: Mapping[str, Sequence[str]]) -> list[str]:
    """The modules that failed or are not there; what each writes on standard output comes below its heading."""
    failed = []
    for module, arguments in forms.items():
        _say(f"## {module.rpartition('.')[2]}\n\n`{shlex.join(['python', '-m', module, *arguments])}`\n")
        if importlib.util.find_spec(module) is None:
            failed.append(module)
            _say(f"- NOT RUN: there is no module {module}\n")
        elif status := subprocess.run([sys.executable, "-m", module, *arguments], cwd=_REPOSITORY).returncode:
            failed.append(module)
            _say(f"\n- FAILED: it ended with status {status}\n")
        else:
            _say("")
    return failed


def _named(failed: Sequence[str]) -> str:
    return f"Those that do not: {', '.join(failed)}." if failed else "None failed."


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
