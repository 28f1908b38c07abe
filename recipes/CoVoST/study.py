#!/usr/bin/env python3
"""Runs experiments with several seeds, several at once, and reports which differences are more
than noise.

    python recipes/CoVoST/study.py recipes/CoVoST/study.yaml --output results/study --jobs 2

Each run is one of train.py with one thread, in OUTPUT/EXPERIMENT/SEED. A study that was stopped or
killed goes on when the same command is given again. OUTPUT/study.json has a line for each run: its
scores, its curves, and the command that repeats it; OUTPUT/cost.json tells what it took.
"""

import argparse
import sys
from pathlib import Path

from vmsp_brain.run.exclusive import exclusive
from vmsp_brain.run.study_file import read_study
from vmsp_brain.run.study_runs import run_study
from vmsp_brain.run.user_errors import one_message


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, help="the study's file, such as study.yaml")
    parser.add_argument("--output", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, a thread each")
    parser.add_argument("--keep_checkpoints", action="store_true", help="of runs that are done too")
    arguments = parser.parse_args(words)
    if arguments.jobs < 1:
        parser.error(f"--jobs: found {arguments.jobs}, expected 1 or more.")
    study = read_study(arguments.study)
    script = Path(sys.argv[0]).with_name("train.py")
    with exclusive(arguments.output, "study", "--output"):
        failures = run_study(
            study, arguments.output, script, arguments.jobs, arguments.keep_checkpoints
        )
    if failures:
        listed = "\n".join(f"  {name}: {why}" for name, why in failures.items())
        sys.exit(
            f"{len(failures)} of {len(study.runs)} runs failed:\n{listed}\n"
            "Correct that, then give the same command: it goes on with these alone."
        )


if __name__ == "__main__":
    with one_message():
        main()
