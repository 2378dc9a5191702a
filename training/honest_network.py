"""Makes the scores of a finished training honest: the temperature goes into its network, the threshold beside it."""

from dataclasses import replace

from training.evaluate import predict_batch_size, predict_scores
from training.honest_scores import fit_scores
from training.progress import Reporter
from training.settings import TrainSettings
from training.strangers import strangers
from training.trained import Trained


def with_honest_scores(trained: Trained, settings: TrainSettings, reporter: Reporter) -> Trained:
    """With what was fitted to the validation images; changes the weights of the network's last layer."""
    from training.backend import chosen_backend, load_backend
    from training.network import divide_logits  # loads Keras

    network, validation = trained.network, trained.validation
    batch_size = predict_batch_size(network)
    with load_backend(chosen_backend()).memory_errors_told():
        scores_nk = predict_scores(network, validation.images_nhwc, batch_size=batch_size)
        scores = fit_scores(
            scores_nk,
            validation.labels,
            calibrate=settings.calibrate,
            accept_share=settings.accept_share,
            seed=settings.seed,
        )
        divide_logits(network, scores.temperature)
        if scores.threshold is not None:
            images = strangers(validation.images_nhwc, seed=settings.seed)
            scores = scores.with_strangers(
                {kind: predict_scores(network, made_up, batch_size=batch_size) for kind, made_up in images.items()}
            )
    reporter.say(scores.describe())
    return replace(trained, scores=scores)
