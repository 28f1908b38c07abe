"""Pictures of a run, drawn from what it saved, so that they can be drawn again at any time:

    python -m vmsp_brain.watch.plots RUN_FOLDER ...

Colours are told apart by people with any kind of colour vision, and curves by their markers too.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vmsp_brain.method.conflict import BETWEEN, Cosines, mean_over_layers, mean_per_tasks
from vmsp_brain.run.curves import Curve
from vmsp_brain.run.folder import RunFolder

# Okabe and Ito's colours; the last one is for means.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = "os^vDP*"
CONFLICT_COLOURS = "RdBu"
"""Red for conflict, blue for agreement (ColorBrewer)."""

CONFLICT_LIMIT = 0.5
"""Cosine at either end of the colours: the same in every figure, so that runs can be compared."""

WORST_SHOWN = 105.0
"""Percent; a worse WER (early ones, of many insertions) is marked at the edge."""

_NO_LANGUAGE = {"mean", "ssl"}
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


def draw_conflicts(cosines: Cosines, epoch: int) -> Figure:
    """Mean similarity of each two objectives' gradients over the layers, a heat map.

    Arguments
    ---------
    cosines : dict
        By layer and pair of objectives.
    epoch : int
        Of which they are.
    """
    similarity = mean_over_layers(cosines)
    names = _in_one_order(name for pair in similarity for name in pair.split(BETWEEN))
    matrix = np.full((len(names), len(names)), np.nan)
    for pair, value in similarity.items():
        i, j = (names.index(name) for name in pair.split(BETWEEN))
        matrix[i, j] = matrix[j, i] = value
    figure = Figure(figsize=(2 + 0.75 * len(names), 1 + 0.65 * len(names)), layout="constrained")
    axis = figure.subplots()
    _draw_heat_map(axis, matrix, names, names)
    axis.set_title(
        f"Cosine of two objectives' gradients in epoch {epoch}, mean over layers\n"
        "(negative: they conflict)"
    )
    return figure


def draw_conflicts_by_layer(cosines: Cosines, epoch: int) -> Figure:
    """Mean similarity for each pair of tasks on each layer, a heat map, the first layer on top."""
    by_layer = {layer: mean_per_tasks({layer: pairs}) for layer, pairs in cosines.items()}
    tasks = sorted(next(iter(by_layer.values())))
    matrix = np.array([[means[pair] for pair in tasks] for means in by_layer.values()])
    figure = Figure(
        figsize=(2.5 + 1.1 * len(tasks), 1.5 + 0.45 * len(by_layer)), layout="constrained"
    )
    axis = figure.subplots()
    _draw_heat_map(axis, matrix, list(by_layer), tasks)
    axis.set_title(f"Cosine of gradients in epoch {epoch}\n(negative: they conflict)")
    return figure


def draw_runs(curves_of_runs: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Several runs over their epochs: mean WER, mean BLEU, share of conflicting pairs."""
    panels = {
        "WER_valid/mean": "Mean validation WER (%)",
        "BLEU_valid/mean": "Mean validation BLEU",
        "conflict/share_of_conflicting_pairs": "Share of (layer, pair) that conflict",
    }
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    for axis, (tag, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
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
    conflicts = run.read_conflicts()
    if conflicts:
        figures |= draw_last_conflicts(conflicts)
    return figures


def draw_last_conflicts(conflicts: Mapping[int, Cosines]) -> dict[str, Figure]:
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
        language = _language(name)
        number = languages.index(language) % (len(COLOURS) - 1) if language in languages else -1
        axis.plot(
            *zip(*curve, strict=True),
            label=name,
            color=COLOURS[number],
            marker=MARKERS[number],
            markevery=max(1, len(curve) // 12),
            markersize=4,
            linewidth=2.5 if language == "mean" else 1.4,
            linestyle={"st": "--", "ssl": ":"}.get(name.partition("/")[0], "-"),
        )
    _finish(axis, title, legend)


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


def _draw_heat_map(
    axis: Axes, matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str]
) -> None:
    """Values as colours and as numbers; NaN stays empty, and what rounds to zero is muted."""
    low, high = -CONFLICT_LIMIT, CONFLICT_LIMIT
    image = axis.imshow(matrix, cmap=CONFLICT_COLOURS, aspect="auto", vmin=low, vmax=high)
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), rows)
    for i, j in itertools.product(range(len(rows)), range(len(columns))):
        if not np.isnan(matrix[i, j]):
            text, colour = _cell(matrix[i, j])
            axis.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
    axis.figure.colorbar(image, ax=axis, label="cosine similarity", extend="both")


def _cell(value: float) -> tuple[str, str]:
    """What is written in a cell, and its colour."""
    if abs(value) < 0.005:
        return f"{value:.3f}", "0.6"  # grey
    return f"{value:.2f}", "white" if abs(value) > 0.6 * CONFLICT_LIMIT else "black"


def _penalty_label(name: str) -> str:
    """From ``eta_1_st_under_asr``."""
    _, number, *words = name.split("_")
    subscript = number.translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
    return f"η{subscript}: {' '.join(words)}"


def _in_one_order(names: Iterable[str]) -> list[str]:
    """Recognition, translation, SSL, each by language: the same for every hierarchy."""
    objectives = list(dict.fromkeys(names))
    recognition = [name for name in objectives if name.startswith("asr/")]
    languages = [_language(name) for name in recognition + objectives]
    tasks = ("asr", "st", "ssl")
    return sorted(
        objectives, key=lambda o: (tasks.index(o.partition("/")[0]), languages.index(_language(o)))
    )


def _languages(curves: Mapping[str, Curve]) -> list[str]:
    """The spoken languages in the experiment's order, in which a run writes its curves."""
    groups = ("WER_valid/", "BLEU_valid/", "lambda/", "loss_valid/")
    languages = [_language(tag) for group in groups for tag in curves if tag.startswith(group)]
    return [language for language in dict.fromkeys(languages) if language not in _NO_LANGUAGE]


def _language(name: str) -> str:
    """The spoken language of a curve named for a language, a pair or an objective."""
    return name.rpartition("/")[2].partition("-")[0]


if __name__ == "__main__":
    for run_folder in sys.argv[1:]:
        for path in save_run_figures(run_folder):
            print(path)
