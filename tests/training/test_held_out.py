"""The test folder of a training: what of it is in training too, and how the finished network does on it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cnnsvc import pixels
from cnnsvc.engines.base import Images, Scores
from cnnsvc.errors import DatasetError
from tests.training.scenes import encoded, scene, write_scenes
from training.dataset import scan
from training.held_out import HeldOut, HeldOutResult, Overlap, hold_out, judge_held_out, result_facts, result_lines
from training.inspection.inspection import Inspection, inspect_folder
from training.judged_folder import scan_judged
from training.progress import Reporter

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Six cats and six dogs to train on."""
    folder = tmp_path_factory.mktemp("training") / "pets"
    write_scenes(folder, 6)
    return inspect_folder(scan(folder), Reporter(Console(file=io.StringIO())))


@pytest.fixture
def folder(tmp_path: Path, inspection: Inspection) -> Path:
    """Three new cats, two dogs that are in training, one of them encoded anew, a cat that is a dog there."""
    trained_on = inspection.listing.folder
    for name, content in {
        "cat/new.jpg": encoded(scene(500)),
        "cat/newer.jpg": encoded(scene(501)),
        "cat/newest.png": encoded(scene(502), "PNG"),
        "cat/dog.jpg": (trained_on / "dog/04.jpg").read_bytes(),
        "dog/same.jpg": (trained_on / "dog/03.jpg").read_bytes(),
        "dog/near.png": encoded(scene(1005).resize((200, 150)), "PNG"),
        "dog/broken.jpg": b"no image",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def held_out_of(folder: Path, inspection: Inspection, left_out: tuple[int, ...] = ()) -> tuple[HeldOut, str]:
    out = io.StringIO()
    listing = scan_judged(folder, inspection.listing.class_names)
    return hold_out(listing, inspection, left_out, Reporter(Console(file=out))), out.getvalue()


def cats_only(images_nhwc: Images) -> Scores:
    return np.tile(np.array([0.75, 0.25], np.float32), (len(images_nhwc), 1))


def judge(held_out: HeldOut) -> HeldOutResult:
    return judge_held_out(held_out, "model.onnx", lambda image: pixels.decode(image, 16, 16, 3), cats_only)


def test_images_that_are_in_training_too(folder: Path, inspection: Inspection) -> None:
    """The same bytes and nearly the same pixels are found whatever their label, listed and told; new ones are not."""
    held_out, said = held_out_of(folder, inspection)
    assert held_out.overlaps == [
        Overlap("cat/dog.jpg", "dog/04.jpg", is_exact=True),
        Overlap("dog/near.png", "dog/05.jpg", is_exact=False),
        Overlap("dog/same.jpg", "dog/03.jpg", is_exact=True),
    ]
    assert f"7 images to test on, in {folder}" in said
    assert f"warning: 3 of 7 test images are in {inspection.listing.folder} too, 2 exactly and 1 nearly" in said
    assert "  dog/near.png ≈ dog/05.jpg\n" in said
    assert f"warning: 1 of 7 test files cannot be read, {folder}/dog/broken.jpg first" in said


def test_what_is_left_out_of_training_does_not_overlap(folder: Path, inspection: Inspection) -> None:
    """A training image that --drop-conflicts leaves out is known to nobody by heart."""
    row = inspection.listing.files.index(inspection.listing.folder / "dog/03.jpg")
    assert [one.file for one in held_out_of(folder, inspection, (row,))[0].overlaps] == ["cat/dog.jpg", "dog/near.png"]


def test_a_clean_folder(tmp_path: Path, inspection: Inspection) -> None:
    """Nothing is warned of but classes without images."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.jpg").write_bytes(encoded(scene(700)))
    held_out, said = held_out_of(tmp_path, inspection)
    assert held_out.overlaps == []
    assert said == f"1 images to test on, in {tmp_path}\nwarning: no test image of dog\n"
    assert judge(held_out).without_overlaps is None


def test_nothing_to_test_on(tmp_path: Path, inspection: Inspection) -> None:
    """A folder of broken files is refused before anything is trained."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="none of the 1 test files"):
        held_out_of(tmp_path, inspection)


def test_the_figures(folder: Path, inspection: Inspection) -> None:
    """All images count, and once more those that are new; files that are gone by then are named."""
    held_out, _ = held_out_of(folder, inspection)
    (folder / "cat/newest.png").unlink()
    tested = judge(held_out)
    assert (tested.judgement.num_images, tested.judgement.num_right) == (5, 3)
    assert [one.file for one in tested.unreadable] == ["cat/newest.png", "dog/broken.jpg"]
    assert tested.without_overlaps is not None
    assert (tested.without_overlaps.num_images, tested.without_overlaps.num_right) == (2, 2)
    assert result_lines(tested) == [
        "test accuracy 0.600 (3 of 5 images right; 95 % interval 0.231 to 0.882)",
        "test accuracy without 3 that are in training too 1.000 (2 of 2 images right; 95 % interval 0.342 to 1.000)",
    ]
    facts = result_facts(tested)
    assert (facts["num_images"], facts["accuracy"], facts["num_overlaps"], facts["num_unreadable"]) == (5, 0.6, 3, 2)
    assert facts["without_overlaps"]["num_right"] == 2
    assert not any(isinstance(value, list) for value in facts.values())


def test_wrong_folders_cost_no_seconds(folder: Path, inspection: Inspection, tmp_path: Path) -> None:
    """A test folder with a class that training lacks is told before anything is decoded and without TensorFlow."""
    (folder / "bird").mkdir()
    program = (
        "import sys\n"
        "try: __import__('cnnsvc.cli').cli.app()\n"
        "finally: print(*{'tensorflow', 'keras'} & set(sys.modules))"
    )
    words = ["train", inspection.listing.folder, "--name", "pets", "--test", folder, "--models-dir", tmp_path / "m"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout.split() == []
    assert done.stderr == (
        f"cnnsvc: {folder} has sub-folders that are no class of the network: 'bird'; it knows 'cat', 'dog'\n"
    )
