"""A comparison of runs as a folder: the report in three forms, and its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vmsp_brain.run.record import RecordedRun, read_run
from vmsp_brain.watch.comparison import compare_runs, names_of
from vmsp_brain.watch.pages import Figures, check_folder, save_pictures, write_report
from vmsp_brain.watch.plots import (
    draw_lambdas,
    draw_last_conflicts,
    draw_runs,
    draw_scores,
)
from vmsp_brain.watch.report import to_markdown

CAPTIONS = {
    "scores": "Test scores of every language and pair.",
    "epochs": "Over the epochs: mean validation scores, shares of pairs that agree or conflict.",
    "lambda": "λ: what each objective weighs in its level.",
    "conflicts": "Which objectives agree (blue) or conflict (red), in the last epoch.",
    "conflicts_by_layer": "Where in the encoder they do so, in the last epoch.",
}
"""What a figure shows, by its name without the run's number."""


def write_comparison(folders: Sequence[str | Path], output: Path) -> str:
    """Compare the runs in these folders, the first being the baseline.

    Writes ``report.md``, ``report.html``, ``report.json`` and ``figures``.

    Arguments
    ---------
    folders : list of Path
        Runs that were tested on the same utterances.
    output : Path
        The comparison's folder.

    Returns
    -------
    str
        The report, in Markdown.

    Raises
    ------
    FileNotFoundError, ValueError
        If something is missing or damaged, or cannot be compared; the message says what.
    """
    check_folder(output)
    with tqdm(names_of(folders).items(), "reading runs") as progress:
        runs = {name: read_run(path) for name, path in progress}
    report = compare_runs(runs)
    text = to_markdown(report, save_pictures(_figures(runs, report["runs"]), output))
    write_report(output, report, text)
    return text


def _figures(runs: Mapping[str, RecordedRun], scores: Mapping[str, dict[str, Any]]) -> Figures:
    """Of all runs, then of each."""
    figures = {
        "scores": (draw_scores(scores), CAPTIONS["scores"]),
        "epochs": (
            draw_runs({name: run.curves for name, run in runs.items()}),
            CAPTIONS["epochs"],
        ),
    }
    for number, (name, run) in enumerate(runs.items(), start=1):
        drawn = {"lambda": draw_lambdas(run.curves)}
        if run.conflicts:
            drawn |= draw_last_conflicts(run.conflicts)
        for kind, figure in drawn.items():
            figure.suptitle(name)
            figures[f"{number}_{kind}"] = figure, f"{name}. {CAPTIONS[kind]}"
    return figures
