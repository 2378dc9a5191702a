"""The short form of the measurement of foreign protocols."""

import re

import pytest

from bench.foreign import read_images, run

pytestmark = pytest.mark.slow


def test_every_protocol_gives_our_own_scores() -> None:
    """On every image and in every form of call, to the last digit of float32; each form is measured."""
    found = run(None, read_images(None)[:16], num_rounds=1, num_calls=20)
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([\d.]+) \| [\w.]+ \|$", found, re.MULTILINE)
    assert len(rows) == 8
    assert {deviation for _, deviation, _ in rows} == {"0"}
    assert {name.partition(",")[0] for name, _, _ in rows} == {"cnnsvc", "TensorFlow Serving", "Open Inference"}
