#!/usr/bin/env python3
"""Runs experiments with several seeds, several at once, and reports which differences are more
than noise.

    python recipes/CoVoST/study.py recipes/CoVoST/study.yaml --output results/study --jobs 2

Each run is one of train.py with one thread, in OUTPUT/EXPERIMENT/SEED. A study that was stopped or
killed goes on when the same command is given again. OUTPUT/study.json has a line for each run: its
scores, its curves, and the command that repeats it; OUTPUT/cost.json tells what it took. From these
comes OUTPUT/report (report.html needs no network), which can be made again, without the runs:

    python recipes/CoVoST/study.py --report results/study/study.json --output results/report
"""

import argparse
import sys
from pathlib import Path

from vmsp_brain.run.exclusive import exclusive
from vmsp_brain.run.study_file import Study, read_study
from vmsp_brain.run.study_runs import run_study
from vmsp_brain.run.user_errors import one_message
from vmsp_brain.watch.study_folder import report_file


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("study", nargs="?", type=Path, help="the study's file, such as study.yaml")
    what.add_argument("--report", type=Path, help="a study.json, to make its report alone")
    parser.add_argument("--output", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, a thread each")
    parser.add_argument("--keep_checkpoints", action="store_true", help="of runs that are done too")
    arguments = parser.parse_args(words)
    if arguments.jobs < 1:
        parser.error(f"--jobs: found {arguments.jobs}, expected 1 or more.")
    if arguments.report:
        say_report(arguments.report, arguments.output)
        return
    study, output = read_study(arguments.study), arguments.output
    with exclusive(output, "study", "--output"):
        script = Path(__file__).with_name("train.py")
        failures = run_study(study, output, script, arguments.jobs, arguments.keep_checkpoints)
        if len(failures) < len(study.runs):
            say_report(output / "study.json", output / "report")
    if failures:
        sys.exit(how_it_failed(study, failures))


def say_report(data: Path, output: Path) -> None:
    """Write the report of a study's data, and show how it begins."""
    print(report_file(data, output).partition("## Had they converged?")[0])
    print(f"Written to {output / 'report.html'}")


def how_it_failed(study: Study, failures: dict[str, str]) -> str:
    """Which runs failed and why, and what to do."""
    listed = "\n".join(f"  {name}: {why}" for name, why in failures.items())
    return (
        f"{len(failures)} of {len(study.runs)} runs failed:\n{listed}\n"
        "Correct that, then give the same command: it goes on with these alone."
    )


if __name__ == "__main__":
    with one_message():
        main()
