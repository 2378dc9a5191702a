"""The picture of a search: accuracy by parameters, with the Pareto front."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from training.search.leaderboard import pareto_front
from training.search.outcome import Outcome, Status


def accuracy_figure(outcomes: Sequence[Outcome], chosen: Outcome | None) -> Figure:
    """Best validation accuracy of every network that trained at all; the finished stand out, the chosen one most."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for status, colour, label in ((Status.CUT, "lightgrey", "cut early"), (Status.FINISHED, "tab:blue", "finished")):
        points = [_point(one) for one in outcomes if one.status is status and one.best is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), color=colour, label=label, zorder=2)
    front = [_point(one) for one in pareto_front(outcomes)]
    if front:
        axes.plot(*zip(*front, strict=True), color="tab:orange", label="Pareto front", drawstyle="steps-post", zorder=1)
    for one in outcomes:
        if one.status is Status.FINISHED and one.best is not None:
            axes.annotate(one.candidate.name, _point(one), xytext=(4, 4), textcoords="offset points", fontsize=8)
    if chosen is not None:
        axes.scatter(*_point(chosen), s=180, facecolors="none", edgecolors="tab:red", label="chosen", zorder=3)
    axes.set(xscale="log", xlabel="parameters", ylabel="best validation accuracy")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def _point(outcome: Outcome) -> tuple[int, float]:
    assert outcome.best is not None
    return outcome.candidate.num_parameters, outcome.best.validation_accuracy
