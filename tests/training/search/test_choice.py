"""training/search/choice.py: the article's rule, and what it says."""

from tests.training.search.outcomes import outcome
from training.search.choice import choose
from training.search.outcome import Status

NUM_IMAGES = 1000
LEAST_RIGHT = 200
STEADY = (0.3, 0.4, 0.5, 0.6, 0.65)


def test_clearly_the_best_is_chosen_whatever_its_size() -> None:
    """Many more parameters do not count against an accuracy that chance does not explain."""
    choice = choose(
        [outcome("small", STEADY, parameters=10), outcome("large", (*STEADY, 0.75), parameters=10**6)],
        NUM_IMAGES,
        LEAST_RIGHT,
    )
    assert choice.chosen is not None
    assert choice.chosen.candidate.name == "large"
    assert choice.reasons == (
        "large leads: validation accuracy 0.750 at epoch 6, training accuracy 0.900, 1,000,000 parameters",
        "within chance of it, which is 0.722 or more on 1000 images (95 %): none",
        "large is chosen: no other one comes up to it",
    )


def test_of_equals_the_smallest_is_chosen() -> None:
    """What chance explains is no reason for more parameters; the same difference on many images is one."""
    tried = [
        outcome("large", (*STEADY, 0.66), parameters=9000),
        outcome("middle", (*STEADY, 0.655), parameters=500),
        outcome("small", (*STEADY, 0.645), parameters=100),
        outcome("worse", (0.3, 0.4, 0.5, 0.55, 0.6), parameters=10),
    ]
    choice = choose(tried, NUM_IMAGES, LEAST_RIGHT)
    assert choice.chosen is tried[2]
    assert choice.reasons[-2:] == (
        "within chance of it, which is 0.630 or more on 1000 images (95 %): middle, small",
        "small is chosen: the fewest parameters of these 3, 100",
    )
    assert choose(tried, 100_000, LEAST_RIGHT).chosen is tried[0]


def test_training_accuracy_counts_too() -> None:
    """A smaller network that learned its training images clearly less is not the leader's equal, and it is said."""
    tried = [
        outcome("large", (*STEADY, 0.66), parameters=9000, training=0.90),
        outcome("close", (*STEADY, 0.66), parameters=8000, training=0.86),
        outcome("small", (*STEADY, 0.655), parameters=100, training=0.70),
    ]
    choice = choose(tried, NUM_IMAGES, LEAST_RIGHT)
    assert choice.chosen is tried[1]
    assert "small is no match for it: training accuracy 0.700, more than 0.05 below" in choice.reasons


def test_an_unstable_one_is_dropped() -> None:
    """As the article dropped its network 27, although it was the best."""
    unstable = outcome("27", (0.3, 0.4, 0.5, 0.8, 0.5, 0.8))
    choice = choose([unstable, outcome("26", STEADY)], NUM_IMAGES, LEAST_RIGHT)
    assert choice.chosen is not None
    assert choice.chosen.candidate.name == "26"
    assert choice.reasons[0] == ("27 is dropped: unstable, its validation accuracy fell from 0.800 to 0.500 at epoch 5")


def test_only_what_trained_to_its_end_is_chosen() -> None:
    """A network that was cut, failed or learned nothing cannot be chosen, and it is said why."""
    tried = [
        outcome("cut", (0.9,), status=Status.CUT),
        outcome("failed", (0.9,), status=Status.FAILED, reason="the loss became nan"),
        outcome("dead", (0.1, 0.1, 0.1)),
        outcome("good", STEADY),
    ]
    choice = choose(tried, NUM_IMAGES, LEAST_RIGHT)
    assert choice.chosen is tried[3]
    assert choice.reasons[:3] == (
        "1 of 4 networks were cut early, while others were ahead of them; how good they would have become is not known",
        "failed is dropped: it failed, the loss became nan",
        "dead is dropped: it learned nothing, validation accuracy 0.100",
    )


def test_where_none_is_left_none_is_chosen() -> None:
    """Nothing is better than a network that learned nothing."""
    choice = choose([outcome("dead", (0.1,)), outcome("cut", status=Status.CUT)], NUM_IMAGES, LEAST_RIGHT)
    assert choice.chosen is None
    assert choice.reasons[-1] == "no network is left to choose from"


def test_the_order_of_the_outcomes_does_not_matter() -> None:
    """Who was trained first is no reason."""
    tried = [outcome(name, STEADY, parameters=size) for name, size in (("a", 30), ("b", 20), ("c", 40))]
    assert choose(tried, NUM_IMAGES, LEAST_RIGHT) == choose(tried, NUM_IMAGES, LEAST_RIGHT)
    for order in (tried, tried[::-1]):
        chosen = choose(order, NUM_IMAGES, LEAST_RIGHT).chosen
        assert chosen is not None
        assert chosen.candidate.name == "b"
