"""A study's report as a folder: Markdown, a page, every number, and the figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmsp_brain.run.study_record import read_study_data
from vmsp_brain.watch.pages import Figures, check_folder, save_pictures, write_report
from vmsp_brain.watch.study import Costs, summarize
from vmsp_brain.watch.study_plots import (
    Curves,
    draw_conflict,
    draw_curves,
    draw_lambdas,
    draw_plane,
    draw_scores,
)
from vmsp_brain.watch.study_report import to_markdown

MEASURES = {"WER": "Mean validation WER (%)", "BLEU": "Mean validation BLEU"}


def report_file(path: Path, output: Path) -> str:
    """Write the report of a ``study.json``, with the costs if ``cost.json`` is beside it.

    Returns
    -------
    str
        The report, in Markdown.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing or damaged, or no run is in it.
    """
    data, beside = read_study_data(path), path.with_name("cost.json")
    try:
        costs = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    except ValueError as error:
        raise ValueError(f"{beside} is damaged: {error}. Remove it to go without costs.") from error
    return report_data(data, costs, output)


def report_data(data: Mapping[str, Any], costs: Costs, output: Path) -> str:
    """Write the report of a study's data; see `report_file`."""
    check_folder(output)
    report = summarize(data, costs)
    text = to_markdown(report, save_pictures(_figures(data, report), output))
    write_report(output, report, text)
    return text


def _figures(data: Mapping[str, Any], report: Mapping[str, Any]) -> Figures:
    whole = [name for name, of in report["experiments"].items() if of["wer"] or of["bleu"]]
    figures = {"scores": (draw_scores(report), "Test scores over seeds, the best on top.")}
    if report["pareto_front"]:
        figures["plane"] = draw_plane(report), "Recognition against translation."
    for measure, title in MEASURES.items():
        curves = _means(data["runs"], whole, measure)
        if curves:
            figures[f"curves_{measure.lower()}"] = draw_curves(report, curves, title), f"{title}."
    lambdas = {name: _moving(data["runs"], name) for name in whole}
    if any(lambdas.values()):
        moving = {name: of for name, of in lambdas.items() if of}
        figures["lambda"] = draw_lambdas(moving), "λ, where it moves."
    if any(of["conflict"] for of in report["experiments"].values()):
        figures["conflict"] = draw_conflict(report), "Do the objectives agree?"
    return figures


def _means(
    runs: Sequence[Mapping[str, Any]], names: Sequence[str], measure: str
) -> Mapping[str, Curves]:
    """The curves of a mean validation score by experiment and seed, where there are any."""
    found: dict[str, dict[int, Sequence[float | None]]] = {}
    for name in names:
        own = [run for run in runs if run["experiment"] == name]
        of_seeds = {run["seed"]: run["validation"][measure].get("mean") for run in own}
        if all(of_seeds.values()):
            found[name] = of_seeds
    return found


def _moving(runs: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Curves]:
    """λ of an experiment's objectives by seed, but for those that are the same in all epochs."""
    found: dict[str, dict[int, Sequence[float | None]]] = {}
    for run in runs:
        for objective, curve in run["lambda"].items() if run["experiment"] == name else ():
            found.setdefault(objective, {})[run["seed"]] = curve
    return {
        objective: of_seeds
        for objective, of_seeds in found.items()
        if len({value for curve in of_seeds.values() for value in curve}) > 1
    }
