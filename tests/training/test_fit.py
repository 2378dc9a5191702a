"""training/fit.py: learning, the best epoch, and the ways a fit ends early."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cnnsvc.errors import TrainingError
from tests.images import write_image_folder
from training.cache import Cache
from training.device import Device
from training.evaluate import accuracy, predict_scores
from training.progress import Advance, Reporter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Three classes, 25 images to train on and 8 to validate: the last batches are partial."""
    from tests.training.runs import shapes_cache

    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_image_folder(folder, 3, 11, 16)
    return shapes_cache(folder)


def test_a_small_network_learns_and_its_best_epoch_comes_out(cache: Cache) -> None:
    """Coloured shapes are learned, and the weights handed out give the best epoch's accuracy, not the last one's."""
    from tests.training.runs import QUICK, new_network, quick_fit

    out = io.StringIO()
    settings = replace(QUICK, augment="light", balance="weights", epochs=6)
    fitted = quick_fit(cache, settings, reporter=Reporter(Console(file=out)))
    best = fitted.history[fitted.best_epoch - 1]
    assert best.validation_accuracy == max(record.validation_accuracy for record in fitted.history) > 0.6
    assert [record.epoch for record in fitted.history] == [1, 2, 3, 4, 5, 6]
    network = new_network(settings)
    network.set_weights(fitted.weights)
    scores = predict_scores(network, cache.validation.images_nhwc, batch_size=3)
    assert scores.dtype == np.float32
    assert len(scores) == len(cache.validation.labels)
    assert accuracy(scores, cache.validation.labels) == best.validation_accuracy
    assert out.getvalue().count("\n") == 6
    assert "epoch 6/6" in out.getvalue()


def test_copies_lengthen_the_epoch(cache: Cache) -> None:
    """Where classes are made equal by copies, an epoch trains on as many images as the classes then have."""
    from tests.training.runs import QUICK, quick_fit

    class Counting(Reporter):
        counted = 0

        @contextlib.contextmanager
        def bar(self, *args: Any, **kwargs: Any) -> Iterator[Advance]:
            with super().bar(*args, **kwargs) as advance:

                def count(number: int) -> None:
                    self.counted += number
                    advance(number)

                yield count

    few = np.concatenate([np.flatnonzero(cache.training.labels == label)[: 5 - label] for label in range(3)])
    training = replace(cache.training, images_nhwc=cache.training.images_nhwc[few], labels=cache.training.labels[few])
    for settings, num_images in ((QUICK, 12), (replace(QUICK, balance="copies"), 15)):
        reporter = Counting(Console(file=io.StringIO()))
        quick_fit(replace(cache, training=training), replace(settings, epochs=2), reporter=reporter)
        assert reporter.counted == 2 * num_images


def test_patience_ends_a_run_that_gets_no_better(cache: Cache) -> None:
    """Without a better validation accuracy the run stops after as many epochs as patience says; 0 never stops."""
    from tests.training.runs import QUICK, quick_fit

    still = replace(QUICK, learning_rate=1e-7, epochs=4, patience=1, arch="C: 2 D: 4R")
    assert len(quick_fit(cache, still).history) == 2
    assert len(quick_fit(cache, replace(still, patience=0)).history) == 4


def test_a_loss_that_is_no_number_stops_the_run(cache: Cache) -> None:
    """The error names epoch and step and what to change, but no learning rate below the least."""
    from tests.training.runs import IMAGE, QUICK, quiet_reporter
    from training.fit import fit

    def build_broken():  # type: ignore[no-untyped-def]  # a Keras model, which has no types
        from tests.training.runs import new_network

        network = new_network(QUICK)
        network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
        return network

    with pytest.raises(TrainingError, match=r"loss became nan in epoch 1, step 1; try a --learning-rate below 0\.02"):
        fit(build_broken, IMAGE, cache.training, cache.validation, QUICK, Device("CPU"), quiet_reporter())
    slow = replace(QUICK, learning_rate=1e-7)
    with pytest.raises(TrainingError, match="try --precision float32 or another network"):
        fit(build_broken, IMAGE, cache.training, cache.validation, slow, Device("CPU"), quiet_reporter())


def test_mixed_precision_trains_and_its_weights_stay_float32(cache: Cache) -> None:
    """The policy holds for the fit alone; weights and scores are float32."""
    import keras

    from tests.training.runs import QUICK, quick_fit

    fitted = quick_fit(cache, replace(QUICK, epochs=1, augment="full"), Device("CPU", dtype_policy="mixed_bfloat16"))
    assert {weight.dtype for weight in fitted.weights} == {np.dtype(np.float32)}
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(fitted.history[0].training_loss)


def test_balanced_weights_make_classes_equal() -> None:
    """Each class has the same weight in all, and an image weighs 1 on average."""
    from training.fit import class_weights

    labels = np.asarray([0] * 6 + [1] * 2, np.int32)
    assert class_weights("weights", labels) == pytest.approx({0: 8 / 12, 1: 2.0})
    assert class_weights("none", labels) is None
    assert class_weights("copies", labels) is None


def test_averaged_weights_are_what_an_epoch_is_judged_by(cache: Cache) -> None:
    """With averaging the weights handed out are the average, which give the recorded accuracy, and training goes on."""
    from tests.training.runs import QUICK, new_network, quick_fit

    settings = replace(QUICK, averaging=0.9, epochs=4)
    fitted, plain = quick_fit(cache, settings), quick_fit(cache, replace(settings, averaging=0.0))
    assert any(not np.array_equal(one, other) for one, other in zip(fitted.weights, plain.weights, strict=True))
    # The steps are those of the run without it: what is averaged is swapped in for the judging alone.
    assert [r.training_loss for r in fitted.history] == pytest.approx([r.training_loss for r in plain.history], 1e-3)
    network = new_network(settings)
    network.set_weights(fitted.weights)
    scores = predict_scores(network, cache.validation.images_nhwc, batch_size=8)
    best = fitted.history[fitted.best_epoch - 1]
    assert accuracy(scores, cache.validation.labels) == best.validation_accuracy


def test_weight_decay_makes_weights_smaller(cache: Cache) -> None:
    """Decoupled decay shrinks the kernels of a run that is otherwise the same."""
    from tests.training.runs import QUICK, quick_fit

    plain = quick_fit(cache, QUICK)
    decayed = quick_fit(cache, replace(QUICK, weight_decay=0.5))
    assert sum(float(np.abs(w).sum()) for w in decayed.weights) < sum(float(np.abs(w).sum()) for w in plain.weights)


@pytest.mark.parametrize("warmup_epochs", [0.0, 2.0, 50.0])
def test_the_learning_rate_climbs_and_falls(warmup_epochs: float) -> None:
    """It never starts at 0 nor passes the setting, and a warm-up longer than the run only climbs."""
    from training.recipe import learning_rates
    from training.settings import TrainSettings

    schedule = learning_rates(TrainSettings(warmup_epochs=warmup_epochs, epochs=10, learning_rate=0.01), num_steps=5)
    rates = [float(schedule(step)) for step in range(50)]
    peak = int(np.argmax(rates))
    assert 0 < rates[0] <= max(rates) <= 0.01 + 1e-9
    assert peak == min(round(warmup_epochs * 5), 49)
    assert all(a > b for a, b in zip(rates[peak:], rates[peak + 1 :], strict=False))


def test_a_constant_learning_rate_stays_at_its_height() -> None:
    """After the warm-up every step has the rate of the setting."""
    from training.recipe import learning_rates
    from training.settings import TrainSettings

    settings = TrainSettings(schedule="constant", warmup_epochs=1, epochs=4, learning_rate=0.01)
    schedule = learning_rates(settings, num_steps=5)
    assert [float(schedule(step)) for step in range(5, 20)] == pytest.approx([0.01] * 15)


def test_smoothed_labels_cost_what_the_formula_says() -> None:
    """With s = 0.1 of 4 classes the target is 0.925 of the right one and 0.025 of each other."""
    from training.recipe import loss
    from training.settings import TrainSettings

    scores = np.asarray([[0.7, 0.1, 0.1, 0.1]], np.float32)
    found = float(loss(TrainSettings(label_smoothing=0.1))(np.asarray([0], np.int32), scores)[0])
    assert found == pytest.approx(-(0.925 * np.log(0.7) + 3 * 0.025 * np.log(0.1)), rel=1e-5)
    assert loss(TrainSettings()) == "sparse_categorical_crossentropy"
