"""training/dataset.py against Keras itself."""

from pathlib import Path

import pytest

from tests.images import write_image_folder
from training.dataset import scan, split_like_keras

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [100, 7])
def test_the_subsets_are_those_of_keras(tmp_path: Path, seed: int) -> None:
    """The same files in the same order as image_dataset_from_directory, for both subsets, odd names included."""
    import keras

    data = tmp_path / "data"
    write_image_folder(data, 4, 7)
    for odd in ("yellow/Upper.PNG", "red/B/1.JPEG", "red/A b/1.gif", "red/a/.hidden.bmp", "blue/1.webp", "x.png"):
        (data / odd).parent.mkdir(parents=True, exist_ok=True)
        (data / odd).write_bytes(b"")
    (data / ".hidden").mkdir()
    (data / "green/broken.jpg").symlink_to(data / "nowhere")
    (data / "green/linked").symlink_to(data / "red")
    split = split_like_keras(scan(data), 0.25, seed)
    for name, subset in (("training", split.training), ("validation", split.validation)):
        theirs = keras.utils.image_dataset_from_directory(data, validation_split=0.25, subset=name, seed=seed)
        assert [str(file) for file in subset.files] == theirs.file_paths
        assert [theirs.class_names[label] for label in subset.labels] == [
            file.relative_to(data).parts[0] for file in subset.files
        ]
