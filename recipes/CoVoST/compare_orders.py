#!/usr/bin/env python3
"""Compares runs that were tested on the same utterances, UAS against USA or any others.

    python recipes/CoVoST/compare_orders.py results/mini results/mini_usa --output results/uas_usa

The first run is the baseline. Writes report.md, report.html (one page, no network needed),
report.json (every number of both) and the figures.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from vmsp_brain.files import write_whole
from vmsp_brain.run.record import RecordedRun, read_run
from vmsp_brain.watch.comparison import compare_runs, names_of
from vmsp_brain.watch.plots import (
    draw_conflicts,
    draw_conflicts_by_layer,
    draw_lambdas,
    draw_runs,
    draw_scores,
    save_figures,
)
from vmsp_brain.watch.report import to_html, to_markdown


def write_comparison(folders: list[str], output: Path) -> str:
    """Compare the runs in these folders; the report's text."""
    runs = {name: read_run(path) for name, path in tqdm(names_of(folders).items(), "reading runs")}
    report = compare_runs(runs)
    pictures = save_figures(_figures(runs, report["runs"]), output / "figures")
    text = to_markdown(report, [str(path.relative_to(output)) for path in pictures])
    write_whole(output / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    write_whole(output / "report.md", text)
    write_whole(output / "report.html", to_html(text, output))
    return text


def _figures(runs: dict[str, RecordedRun], scores: dict[str, dict]) -> dict[str, Figure]:
    figures = {
        "scores": draw_scores(scores),
        "epochs": draw_runs({name: run.curves for name, run in runs.items()}),
    }
    for number, (name, run) in enumerate(runs.items(), start=1):
        drawn = {"lambda": draw_lambdas(run.curves)}
        if run.cosines:
            last = run.cosines[max(run.cosines)]
            drawn |= {
                "conflicts": draw_conflicts(last),
                "conflicts_by_layer": draw_conflicts_by_layer(last),
            }
        for kind, figure in drawn.items():
            figure.suptitle(name)
            figures[f"{number}_{kind}"] = figure
    return figures


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="output folders of runs; the first is the baseline")
    parser.add_argument("--output", type=Path, required=True, help="folder for the report")
    arguments = parser.parse_args(words)
    try:
        text = write_comparison(arguments.runs, arguments.output)
    except (ValueError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")
    print(text.partition("## Test")[0])
    print(f"Written to {arguments.output / 'report.html'}")


if __name__ == "__main__":
    main()
