"""Figures of a study. An experiment has its colour and marker in all of them; where there are many,
each has a panel of its own, with the others in grey behind it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from vmsp_brain.watch.plots import (
    COLOURS,
    MARKERS,
    VERDICT_STYLES,
    WORST_SHOWN,
    add_verdicts,
    languages_of,
    line_style,
    stacked,
)

Report = Mapping[str, Any]
"""From `vmsp_brain.watch.study.summarize`."""

Curves = Mapping[int, Sequence[float | None]]
"""By seed, a value for each epoch; None where it was not measured."""

TITLES = {"wer": "mean test WER (%), lower is better", "bleu": "mean test BLEU, higher is better"}
BAND = "mean over seeds, band from the least to the greatest"
COLUMNS = 4
"""Panels side by side."""


def draw_scores(report: Report) -> Figure:
    """Each experiment's mean WER and BLEU with 95 % intervals, the best on top, and each seed's."""
    names = [name for name, of in report["experiments"].items() if of["wer"] or of["bleu"]]
    metrics = [m for m in TITLES if any(report["experiments"][name][m] for name in names)]
    names.sort(key=lambda name: _sort_key(report, name, metrics[0]))
    figure = Figure(figsize=(9, 1.4 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        for place, name in enumerate(names):
            of = report["experiments"][name]
            if of[metric] is None:
                continue
            colour = _style(report, name)["color"]
            axis.plot(
                of[f"{metric}_by_seed"],
                [place + 0.25] * len(of["seeds"]),
                "|",
                color="0.45",
                markersize=6,
            )
            axis.errorbar(
                of[metric]["mean"],
                place,
                xerr=of[metric]["half_width"],
                color=colour,
                marker="o",
                capsize=4,
                linewidth=2,
            )
        axis.set(title=TITLES[metric], yticks=range(len(names)), yticklabels=names)
        axis.title.set_fontsize(11)
        axis.grid(axis="x", alpha=0.3)
        axis.set_xlim(left=max(0, axis.get_xlim()[0]))
        if metric == "wer":
            _spread(axis, report, names)
    axes[0].invert_yaxis()
    figure.supxlabel("●: mean over seeds, with its 95 % interval;  |: a seed", fontsize=10)
    return figure


def draw_plane(report: Report) -> Figure:
    """Mean WER against mean BLEU, with every seed, and the Pareto front."""
    experiments = report["experiments"]
    names = [name for name, of in experiments.items() if of["wer"] and of["bleu"]]
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axis = figure.subplots()
    for name in names:
        of, style = experiments[name], _style(report, name)
        style["linestyle"] = "none"
        axis.plot(of["wer_by_seed"], of["bleu_by_seed"], markersize=4, alpha=0.5, **style)
        point = of["wer"]["mean"], of["bleu"]["mean"]
        axis.plot(*point, markersize=11, label=name, mec="black", **style)
    front = [[experiments[n][m]["mean"] for m in TITLES] for n in report["pareto_front"]]
    axis.plot(
        *zip(*front, strict=True), color="0.3", linestyle="--", zorder=1, label="Pareto front"
    )
    axis.set(xlabel=TITLES["wer"], ylabel=TITLES["bleu"])
    axis.set_title("large: mean over seeds, small: a seed")
    _spread(axis, report, names)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_curves(report: Report, curves: Mapping[str, Curves], title: str) -> Figure:
    """A validation score over the epochs: mean over seeds, and from the least to the greatest.

    Arguments
    ---------
    report : dict
        For the experiments' colours.
    curves : dict
        By experiment.
    title : str
        Of the figure.
    """
    means = {name: _over_seeds(of)[0] for name, of in curves.items()}
    figure = Figure(figsize=_size(len(curves)), layout="constrained")
    for name, axis in _panels(figure, list(curves)):
        for other in means.values():
            axis.plot(*_points(other), color="0.85", linewidth=1)
        _draw_band(axis, curves[name], color=_style(report, name)["color"], linewidth=2)
        top = max(value for of in means.values() for value in of if not math.isnan(value))
        axis.set_ylim(0, min(WORST_SHOWN, 1.05 * top) or 1)
    figure.suptitle(f"{title}\n{BAND}; grey: the others", fontsize=11)
    return figure


def draw_lambdas(curves: Mapping[str, Mapping[str, Curves]]) -> Figure:
    """λ at the end of every epoch, where it moves: mean over seeds, band from least to greatest.

    Arguments
    ---------
    curves : dict
        By experiment and objective.
    """
    figure = Figure(figsize=_size(len(curves), 0.6), layout="constrained")
    objectives = list(dict.fromkeys(name for of in curves.values() for name in of))
    languages = languages_of(objectives)
    for name, axis in _panels(figure, list(curves)):
        for objective, of_seeds in curves[name].items():
            _draw_band(axis, of_seeds, label=objective, **line_style(objective, languages))
        axis.set_ylim(bottom=0)
    handles = {h.get_label(): h for axis in figure.axes for h in axis.get_lines()}
    figure.legend(
        [handles[name] for name in objectives],
        objectives,
        loc="outside lower center",
        ncols=5,
        fontsize=9,
    )
    figure.suptitle(f"λ, each objective's weight\n{BAND}", fontsize=11)
    return figure


def draw_conflict(report: Report) -> Figure:
    """Each experiment's shares of pairs that agree, are undecided or conflict."""
    shares = {name: of["conflict"] for name, of in report["experiments"].items() if of["conflict"]}
    figure = Figure(figsize=(8, 1.5 + 0.36 * len(shares)), layout="constrained")
    axis = figure.subplots()
    for verdict, ends, values in stacked(list(shares.values())):
        axis.barh(range(len(shares)), values, left=ends, **VERDICT_STYLES[verdict])
    axis.set_yticks(range(len(shares)), list(shares))
    axis.invert_yaxis()
    axis.set(title="Share of (layer, pair of objectives), mean over epochs and seeds", xlim=(0, 1))
    axis.tick_params(left=False)
    add_verdicts(figure)
    return figure


def _style(report: Report, name: str) -> dict[str, Any]:
    number = list(report["experiments"]).index(name)
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def _sort_key(report: Report, name: str, metric: str) -> float:
    found = report["experiments"][name][metric]
    return math.inf if found is None else found["mean"] * (1 if metric == "wer" else -1)


def _spread(axis: Axes, report: Report, names: Sequence[str]) -> None:
    """A logarithmic axis of word error rates, which tells good ones apart; zero has no place."""
    wers = [wer for name in names for wer in report["experiments"][name]["wer_by_seed"] if wer]
    if len(wers) < sum(len(report["experiments"][name]["seeds"]) for name in names):
        return
    axis.set_xscale("log", nonpositive="clip")
    axis.set_xlabel(f"{axis.get_xlabel()} (logarithmic)".strip())
    axis.set_xlim(0.7 * min(wers), 1.4 * max(wers))
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _size(panels: int, below: float = 0.0) -> tuple[float, float]:
    columns = min(panels, COLUMNS)
    return max(6.0, 3.0 * columns), 0.9 + below + 2.4 * math.ceil(panels / COLUMNS)


def _panels(figure: Figure, names: Sequence[str]) -> Iterator[tuple[str, Axes]]:
    columns = min(len(names), COLUMNS)
    rows = math.ceil(len(names) / columns)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for name, axis in zip(names, axes, strict=False):
        yield name, axis
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.set_xlabel("epoch", fontsize=9)
    for axis in axes:
        axis.set_visible(False)


def _over_seeds(curves: Curves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, least and greatest value of each epoch that all seeds have; not a number elsewhere."""
    last = min(len(curve) for curve in curves.values())
    values = np.array([curve[:last] for curve in curves.values()], dtype=float)
    return values.mean(0), values.min(0), values.max(0)


def _points(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that have a value, and the values."""
    known = ~np.isnan(values)
    return 1 + np.flatnonzero(known), values[known]


def _draw_band(axis: Axes, curves: Curves, **style: Any) -> None:
    mean, least, greatest = _over_seeds(curves)
    epochs, values = _points(mean)
    axis.plot(epochs, values, markersize=3, **style)
    edges = _points(least)[1], _points(greatest)[1]
    axis.fill_between(epochs, *edges, color=style["color"], alpha=0.2, linewidth=0)
