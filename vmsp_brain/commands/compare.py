"""Compares runs that were tested on the same utterances, UAS against USA or any others.

    vmsp-compare results/mini results/mini_usa --output results/uas_usa

The first run is the baseline. With several seeds of each, give names to groups of runs, or to
folders of them; then means over seeds are compared, and the first group is the reference:

    vmsp-compare UAS=results/a,results/b USA=results/study/USA ...

Writes report.md, report.html (one page, no network needed), report.json (every number of both) and
the figures.
"""

import argparse
from pathlib import Path

from vmsp_brain.watch.comparison_folder import write_comparison
from vmsp_brain.watch.groups import groups_of, write_group_comparison


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="vmsp-compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        help="output folders of runs, or NAME=FOLDER,FOLDER for those of one kind",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the report")
    arguments = parser.parse_args(words)
    try:
        groups = groups_of(arguments.runs)
        text = (
            write_group_comparison(groups, arguments.output)
            if groups
            else write_comparison(arguments.runs, arguments.output)
        )
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(text.partition("## Had they converged?" if groups else "## Test")[0])
    print(f"Written to {arguments.output / 'report.html'}")
