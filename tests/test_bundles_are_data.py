"""A bundle is data: whatever its files say, nothing that serves makes code of them."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.bundles import write_bundle
from tests.encoded import encode

ROOT: Final = Path(__file__).parent.parent

_BRINGS_CODE: Final = {
    *("pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "torch"),
    *("keras", "tensorflow", "tf_keras"),
}
"""Modules that read files into code, Keras with its layers that hold Python among them."""
_RUNS_CODE: Final = {"eval", "exec", "compile", "__import__"}

# Notes each class that a pickle names, and does that itself at the end, so that silence before proves something.
_SCRIPT: Final = """
import json, sys
found = []
sys.addaudithook(lambda event, arguments: found.append(arguments[1]) if event == "pickle.find_class" else None)

from pathlib import Path
from cnnsvc.local import LocalClassifier
from cnnsvc.model import ModelOptions

for engine in ("openvino", "onnxruntime"):
    classifier = LocalClassifier(Path(sys.argv[1]), ModelOptions(engine))
    classifier.classify(Path(sys.argv[2]).read_bytes(), None)
    classifier.close()
before = list(found)
import fractions, pickle
pickle.loads(pickle.dumps(fractions.Fraction(1, 2)))
print(json.dumps({"before": before, "control": found[len(before):], "keras": "keras" in sys.modules}))
"""


@pytest.mark.parametrize("package", ["cnnsvc", "service"])
def test_no_source_reads_code_from_files(package: str) -> None:
    """Nothing that serves imports pickle, joblib, YAML, Keras or the like, lets NumPy unpickle, or runs text."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 20
    found = [f"{file.relative_to(ROOT)}: {what}" for file in files for what in _dangers(file.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "pickle"),
        ("def load():\n    from keras.models import load_model", "keras.models"),
        ("import torch.serialization as reader", "torch.serialization"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "allow_pickle"),
        ("eval(text)", "eval"),
    ],
)
def test_a_source_that_does_is_found(source: str, danger: str) -> None:
    """Wherever in the file it stands."""
    assert list(_dangers(source)) == [danger]


def test_loading_and_classifying_unpickles_nothing(tmp_path: Path) -> None:
    """Not in the libraries either, with either engine; Keras is never there."""
    bundle, image = write_bundle(tmp_path / "models"), tmp_path / "image"
    image.write_bytes(encode("JPEG"))
    words = [sys.executable, "-c", _SCRIPT, str(bundle), str(image)]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"before": [], "control": ["Fraction"], "keras": False}


def _dangers(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases if _root(alias.name) in _BRINGS_CODE)
            case ast.ImportFrom(module=str(module), level=0) if _root(module) in _BRINGS_CODE:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in _RUNS_CODE:
                yield name
            case ast.keyword(arg="allow_pickle"):
                yield "allow_pickle"


def _root(module: str) -> str:
    return module.partition(".")[0]
