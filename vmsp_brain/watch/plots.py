"""Pictures of a run, drawn from what it saved, so that they can be drawn again at any time:

    python -m vmsp_brain.watch.plots RUN_FOLDER ...

Colours are told apart by people with any kind of colour vision, and curves by their markers too.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from vmsp_brain.method.conflict import (
    AGREE,
    ALL_LAYERS,
    BETWEEN,
    CONFLICT,
    UNDECIDED,
    VERDICTS,
    Similarities,
    Similarity,
    by_tasks,
    mean_of,
    of_single_layers,
    shares,
)
from vmsp_brain.run.curves import Curve
from vmsp_brain.run.folder import RunFolder

# Okabe and Ito's colours; the last one is for means.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = "os^vDP*"
CONFLICT_COLOURS = "RdBu"
"""Red for conflict, blue for agreement (ColorBrewer)."""

VERDICT_STYLES: dict[str, dict[str, Any]] = {
    AGREE: {"color": "#2166ac"},
    UNDECIDED: {"facecolor": "0.93", "edgecolor": "0.8", "hatch": "////", "linewidth": 0.0},
    CONFLICT: {"color": "#b2182b"},
}
"""The ends of these colours, and hatched grey for what noise hides."""

CONFLICT_LIMIT = 0.5
"""Cosine at either end of the colours: the same in every figure, so that runs can be compared."""

WORST_SHOWN = 105.0
"""Percent; a worse WER (early ones, of many insertions) is marked at the edge."""

_NO_LANGUAGE = {"mean", "ssl", "lid"}
_SCORES = {"wer": "WER (%), lower is better", "bleu": "BLEU, higher is better"}


def draw_run(curves: Mapping[str, Curve]) -> Figure:
    """A run at a glance: WER, BLEU, λ and losses over time.

    Arguments
    ---------
    curves : dict
        From `RunFolder.read_curves`.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_group(axes[0, 0], curves, "WER_valid", "Validation WER (%), lower is better")
    _draw_group(axes[0, 1], curves, "BLEU_valid", "Validation BLEU, higher is better")
    _draw_lambdas(axes[1, 0], curves)
    _draw_group(axes[1, 1], curves, "loss_valid", "Validation loss")
    if "WER_valid/mean" in curves:
        axes[0, 0].set_ylim(0, WORST_SHOWN)
        _mark_cut_off(axes[0, 0])
    return figure


def draw_losses(curves: Mapping[str, Curve]) -> Figure:
    """Every objective's loss in training and in validation."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_group(left, curves, "loss_train", "Training loss", legend=False)
    _draw_group(right, curves, "loss_valid", "Validation loss", legend=False)
    _add_legend(figure, right)
    return figure


def draw_lambdas(curves: Mapping[str, Curve]) -> Figure:
    """Every objective's λ over the optimizer steps; that of a level's only objective is 1."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    _draw_lambdas(axis, curves, legend=False)
    _add_legend(figure, axis)
    return figure


def draw_penalties(curves: Mapping[str, Curve]) -> Figure:
    """η between each two levels over the epochs."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    chosen = _group(curves, "penalty")
    for number, (name, curve) in enumerate(sorted(chosen.items())):
        x, y = zip(*curve, strict=True)
        colour, marker = COLOURS[number], MARKERS[number]
        axis.plot(x, y, label=_penalty_label(name), color=colour, marker=marker)
    _finish(axis, "η: what the level below counts against the one above")
    return figure


def draw_scores(reports: Mapping[str, Mapping]) -> Figure:
    """Test WER of every language and BLEU of every pair, a bar for each run.

    Arguments
    ---------
    reports : dict
        By run, from `vmsp_brain.run.scores.results`.
    """
    metrics = [metric for metric in _SCORES if any(metric in report for report in reports.values())]
    figure = Figure(figsize=(6 * len(metrics), 4.5), layout="constrained")
    for axis, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        names = [*next(iter(reports.values()))[metric], "mean"]
        width = 0.8 / len(reports)
        for number, (run, report) in enumerate(reports.items()):
            values = [{**report[metric], "mean": report[f"{metric}_mean"]}[name] for name in names]
            places = np.arange(len(names)) + (number - (len(reports) - 1) / 2) * width
            bars = axis.bar(places, values, width, label=run, color=COLOURS[number % len(COLOURS)])
            if len(reports) <= 2:
                axis.bar_label(bars, fmt="%.1f", fontsize=8)
        axis.set_xticks(range(len(names)), names)
        axis.set_title(f"Test {_SCORES[metric]}")
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    if len(reports) > 1:
        _add_legend(figure, axis)
    return figure


def draw_conflicts(similarities: Similarities, epoch: int) -> Figure:
    """Similarity of each two objectives' gradients of the whole encoder, a heat map.

    Arguments
    ---------
    similarities : dict
        By layer and pair of objectives, from `vmsp_brain.method.conflict.Conflicts`.
    epoch : int
        Of which they are.
    """
    found = similarities[ALL_LAYERS]
    names = _in_one_order(name for pair in found for name in pair.split(BETWEEN))
    cells: dict[tuple[int, int], list[Similarity]] = {}
    for pair, similarity in found.items():
        i, j = (names.index(name) for name in pair.split(BETWEEN))
        cells[i, j] = cells[j, i] = [similarity]
    figure = Figure(
        figsize=(2.5 + 0.75 * len(names), 1.3 + 0.65 * len(names)), layout="constrained"
    )
    axis = figure.subplots()
    _draw_heat_map(axis, cells, names, names)
    axis.set_title(f"Do the objectives' gradients agree? Epoch {epoch}, all layers")
    add_verdicts(figure)
    return figure


def draw_conflicts_by_layer(similarities: Similarities, epoch: int) -> Figure:
    """For each layer, the first on top: the mean similarity for each pair of tasks, a heat map, and
    how many of all pairs agree, are undecided or conflict."""
    layers = of_single_layers(similarities)
    tasks = sorted(by_tasks(layers))
    cells = {
        (i, j): by_tasks({layer: pairs})[tasks[j]]
        for i, (layer, pairs) in enumerate(layers.items())
        for j in range(len(tasks))
    }
    figure = Figure(figsize=(7 + 1.1 * len(tasks), 2 + 0.45 * len(layers)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2 + 1.1 * len(tasks), 4])
    _draw_heat_map(left, cells, list(layers), tasks)
    left.set_title("Mean cosine of two tasks' gradients")
    found = [shares({layer: pairs}) for layer, pairs in layers.items()]
    for verdict, ends, values in stacked(found):
        right.barh(range(len(layers)), values, left=ends, **VERDICT_STYLES[verdict])
    right.set_title("Share of pairs of objectives")
    right.set_xlim(0, 1)
    right.tick_params(left=False)
    add_verdicts(figure)
    figure.suptitle(f"Where in the encoder do objectives agree? Epoch {epoch}")
    return figure


def draw_verdicts(curves: Mapping[str, Curve]) -> Figure:
    """How many pairs agree, are undecided or conflict in each epoch, and why: the share of each
    objective's gradient that is signal."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    of_verdict = {verdict: dict(curves[f"conflict/{verdict}"]) for verdict in VERDICTS}
    epochs = list(of_verdict[AGREE])
    found = [{verdict: of_verdict[verdict][epoch] for verdict in VERDICTS} for epoch in epochs]
    for verdict, ends, values in stacked(found):
        left.bar(epochs, values, bottom=ends, label=verdict, **VERDICT_STYLES[verdict])
    add_verdicts(figure)
    left.set(title="Share of pairs of objectives, all layers", xlabel="epoch", ylim=(0, 1))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = "Share of a gradient (one draw) that is signal, not noise"
    _draw_group(right, curves, "signal_share", title)
    right.set_yscale("log")
    right.set_ylim(0.003, 1)
    return figure


def draw_runs(curves_of_runs: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Several runs over their epochs: mean WER, mean BLEU, shares of pairs with a verdict."""
    panels = {
        "WER_valid/mean": "Mean validation WER (%)",
        "BLEU_valid/mean": "Mean validation BLEU",
        f"conflict/{AGREE}": "Share of (layer, pair) that agree",
        f"conflict/{CONFLICT}": "Share of (layer, pair) that conflict",
    }
    figure = Figure(figsize=(11, 8), layout="constrained")
    for axis, (tag, title) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for number, (run, curves) in enumerate(curves_of_runs.items()):
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "marker": MARKERS[number % len(MARKERS)],
            }
            if tag in curves:
                axis.plot(*zip(*curves[tag], strict=True), label=run, **style)
        _finish(axis, title, legend=False)
    _add_legend(figure, figure.axes[0])
    return figure


def draw_all(run_folder: str | Path) -> dict[str, Figure]:
    """Every figure for which the run has data, by file name.

    Arguments
    ---------
    run_folder : Path
        The output folder of a run that was tested.
    """
    run = RunFolder(run_folder)
    curves = run.read_curves()
    figures = {
        "run": draw_run(curves),
        "losses": draw_losses(curves),
        "lambda": draw_lambdas(curves),
        "scores": draw_scores({"test": run.read_report()}),
    }
    if _group(curves, "penalty"):  # a single level has none
        figures["penalty"] = draw_penalties(curves)
    if f"conflict/{AGREE}" in curves:
        figures["verdicts"] = draw_verdicts(curves)
    conflicts = run.read_conflicts()
    if conflicts:
        figures |= draw_last_conflicts(conflicts)
    return figures


def draw_last_conflicts(conflicts: Mapping[int, Similarities]) -> dict[str, Figure]:
    """Both heat maps of the last epoch in which conflict was measured, by file name."""
    last = max(conflicts)
    return {
        "conflicts": draw_conflicts(conflicts[last], last),
        "conflicts_by_layer": draw_conflicts_by_layer(conflicts[last], last),
    }


def save_figures(figures: Mapping[str, Figure], folder: str | Path) -> list[Path]:
    """Write figures as ``<name>.png``; the files' paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=130)
    return paths


def save_run_figures(run_folder: str | Path) -> list[Path]:
    """Draw `draw_all` into the run's folder ``figures``."""
    return save_figures(draw_all(run_folder), RunFolder(run_folder).figures)


def _group(curves: Mapping[str, Curve], group: str) -> dict[str, Curve]:
    return {
        tag.removeprefix(f"{group}/"): curve
        for tag, curve in curves.items()
        if tag.startswith(f"{group}/")
    }


def _draw_group(
    axis: Axes, curves: Mapping[str, Curve], group: str, title: str, legend: bool = True
) -> None:
    """The curves of a group: a colour per language, the same in all of a run's figures.

    Solid lines for recognition, dashed for translation, dotted for SSL; the mean over languages is
    black and thick.
    """
    languages = _languages(curves)
    for name, curve in _group(curves, group).items():
        style = line_style(name, languages)
        style |= {"label": name, "markevery": max(1, len(curve) // 12), "markersize": 4}
        axis.plot(*zip(*curve, strict=True), **style)
    _finish(axis, title, legend)


def line_style(name: str, languages: Sequence[str]) -> dict[str, Any]:
    """Of a curve that is named for a language, a pair or an objective; see `_draw_group`.

    Arguments
    ---------
    name : str
        The curve's.
    languages : list of str
        All that are spoken, in their order.
    """
    language = _language(name)
    number = languages.index(language) % (len(COLOURS) - 1) if language in languages else -1
    return {
        "color": COLOURS[number],
        "marker": MARKERS[number],
        "linewidth": 2.5 if language == "mean" else 1.4,
        "linestyle": {"st": "--", "ssl": ":", "lid": "-."}.get(name.partition("/")[0], "-"),
    }


def languages_of(objectives: Iterable[str]) -> list[str]:
    """The spoken languages of objectives, in their order."""
    languages = [_language(name) for name in objectives]
    return [language for language in dict.fromkeys(languages) if language not in _NO_LANGUAGE]


def _finish(axis: Axes, title: str, legend: bool = True) -> None:
    axis.set(title=title, xlabel="epoch")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    if legend and axis.get_lines():  # beside the curves, never over them
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _add_legend(figure: Figure, axis: Axes) -> None:
    """One legend below the panels, which all have the curves of this one."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)


def _draw_lambdas(axis: Axes, curves: Mapping[str, Curve], legend: bool = True) -> None:
    moving = {
        tag: curve
        for tag, curve in curves.items()
        if not tag.startswith("lambda/") or any(value != 1.0 for _, value in curve)
    }
    _draw_group(axis, moving, "lambda", "λ: each objective's weight in its level", legend)
    axis.set_xlabel("optimizer step")


def _mark_cut_off(axis: Axes) -> None:
    """A triangle at the upper edge where a curve is above it, and what that means."""
    _, top = axis.get_ylim()
    for line in list(axis.get_lines()):
        above = [x for x, y in np.asarray(line.get_xydata(), dtype=float) if y > top]
        if above:
            axis.plot(
                above,
                [top] * len(above),
                color=line.get_color(),
                marker="^",
                linestyle="none",
                clip_on=False,
                label="_above",
            )
            axis.set_xlabel(f"epoch (▲: above {top:.0f} %)")


def stacked(found: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """By verdict, where its part of every bar begins, and its share."""
    ends = np.zeros(len(found))
    for verdict in VERDICTS:
        values = np.array([of_bar[verdict] for of_bar in found])
        yield verdict, ends, values
        ends = ends + values


def _draw_heat_map(
    axis: Axes,
    cells: Mapping[tuple[int, int], Sequence[Similarity]],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    """The mean similarity of what is in a cell, as a colour and as a number.

    A cell most of which is undecided is hatched in grey; one that is not there stays empty.
    """
    matrix = np.full((len(rows), len(columns)), np.nan)
    for (i, j), found in cells.items():
        value = mean_of(found)
        decided = sum(each.verdict != UNDECIDED for each in found) > len(found) / 2
        matrix[i, j] = value if decided else np.nan
        _label_cell(axis, i, j, value, decided)
    low, high = -CONFLICT_LIMIT, CONFLICT_LIMIT
    image = axis.imshow(matrix, cmap=CONFLICT_COLOURS, aspect="auto", vmin=low, vmax=high)
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    bar = axis.figure.colorbar(
        image, ax=axis, extend="both", ticks=[low, low / 2, 0, high / 2, high]
    )
    bar.set_label("cosine of the expected gradients")


def add_verdicts(figure: Figure) -> None:
    """What the colours mean, below the panels."""
    words = {AGREE: "agree", UNDECIDED: "undecided: lost in noise", CONFLICT: "conflict"}
    patches = [Patch(label=words[verdict], **VERDICT_STYLES[verdict]) for verdict in VERDICTS]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9)


def _label_cell(axis: Axes, i: int, j: int, value: float, decided: bool) -> None:
    if not decided:
        axis.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **VERDICT_STYLES[UNDECIDED]))
    if not np.isnan(value):
        dark = decided and abs(value) > 0.6 * CONFLICT_LIMIT
        colour = "white" if dark else "black" if decided else "0.55"
        axis.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)


def _penalty_label(name: str) -> str:
    """From ``eta_1_st_under_asr``."""
    _, number, *words = name.split("_")
    subscript = number.translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
    return f"η{subscript}: {' '.join(words)}"


def _in_one_order(names: Iterable[str]) -> list[str]:
    """Recognition, translation, SSL, LID, each by language: the same for every hierarchy."""
    objectives = list(dict.fromkeys(names))
    recognition = [name for name in objectives if name.startswith("asr/")]
    languages = [_language(name) for name in recognition + objectives]
    tasks = ("asr", "st", "ssl", "lid")
    return sorted(
        objectives, key=lambda o: (tasks.index(o.partition("/")[0]), languages.index(_language(o)))
    )


def _languages(curves: Mapping[str, Curve]) -> list[str]:
    """The spoken languages in the experiment's order, in which a run writes its curves."""
    groups = ("WER_valid/", "BLEU_valid/", "lambda/", "loss_valid/")
    return languages_of(tag for group in groups for tag in curves if tag.startswith(group))


def _language(name: str) -> str:
    """The spoken language of a curve named for a language, a pair or an objective."""
    return name.rpartition("/")[2].partition("-")[0]


if __name__ == "__main__":
    for run_folder in sys.argv[1:]:
        for path in save_run_figures(run_folder):
            print(path)
