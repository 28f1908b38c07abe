"""The runs of a study: several at once, each a run like any other, and none made twice.

All that is known is in files that are there whole or not at all, so that a study may be killed at
any moment, its runs with it or not, and goes on when it is started again.
"""

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmsp_brain.files import write_whole
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.children import Child, end_all, how_it_ended
from vmsp_brain.run.environment import revision
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import score_means
from vmsp_brain.run.study_file import PlannedRun, Study
from vmsp_brain.run.study_progress import StudyProgress
from vmsp_brain.run.study_record import Record, cost_of, record_of, study_text
from vmsp_brain.run.termination import Termination
from vmsp_brain.run.train_log import epochs_done

POLL = 0.5
"""Seconds between two looks at what runs."""


class StudyRun:
    """One run of a study, in a folder of its own, with what it prints and what is kept beside it.

    Arguments
    ---------
    plan : PlannedRun
        What is to be run.
    output : Path
        The study's folder.
    script : Path
        train.py.

    Attributes
    ----------
    folder, printed : Path
        The run's folder, and the file of what it prints.
    kept : dict
        What is known of it: ``commits`` and ``command``; when it is done, ``record`` and ``cost``.
    """

    def __init__(self, plan: PlannedRun, output: Path, script: Path) -> None:
        self.plan = plan
        self.folder = output / plan.experiment / str(plan.seed)
        self.printed = self.folder.with_suffix(".txt")
        self._file = self.folder.with_suffix(".json")
        # From where the command is given: what is kept names no folder of this machine.
        folder = os.path.relpath(self.folder)
        self.words = [os.path.relpath(script), *plan.words, f"--output_folder={folder}"]
        self.kept = self._read()

    @property
    def done(self) -> bool:
        """Whether it was trained, tested and recorded."""
        return "record" in self.kept

    @property
    def record(self) -> Record:
        """Its line in ``study.json``."""
        return {
            "experiment": self.plan.experiment,
            "seed": self.plan.seed,
            "commits": self.kept["commits"],
            "command": self.kept["command"],
            **self.kept["record"],
        }

    def in_use(self) -> str | None:
        """Who has its folder, in words: one that a killed study left, as it saves."""
        try:
            with RunFolder(self.folder).locked():
                return None
        except RuntimeError as error:
            return str(error)

    def start(self) -> Child:
        """Begin, or go on."""
        trained = RunFolder(self.folder).was_trained()
        commits = self.kept.get("commits", []) if trained else []
        now = revision()
        self._keep(commits=commits if commits[-1:] == [now] else [*commits, now])
        command = shlex.join(["python", *self.words])
        self._keep(command=f"OMP_NUM_THREADS=1 {command}")
        return Child([sys.executable, *self.words], self.printed)

    def finish(self) -> None:
        """Record what it came to.

        Raises
        ------
        FileNotFoundError, ValueError
            If it left something missing or damaged.
        """
        self._keep(record=record_of(self.folder), cost=cost_of(self.folder))

    def epochs(self) -> int:
        """How many are done."""
        return epochs_done(self.folder / "train_log.txt")

    def delete_checkpoints(self) -> None:
        """Save the disk what the report does not need."""
        checkpoints = RunFolder(self.folder).checkpoints
        if checkpoints.is_dir():
            AtomicCheckpointer(checkpoints).delete_checkpoints(num_to_keep=0)

    def _keep(self, **what: Any) -> None:
        self.kept |= what
        write_whole(self._file, json.dumps(self.kept, ensure_ascii=False) + "\n")

    def _read(self) -> dict[str, Any]:
        """What was kept.

        Raises
        ------
        ValueError
            If it is damaged, or of a run of another command.
        """
        if not self._file.exists():
            return {}
        try:
            kept = dict(json.loads(self._file.read_text(encoding="utf-8")))
            before = _options(shlex.split(kept["command"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{self._file} is damaged: {error}. Remove it and {self.folder} to run it anew."
            ) from error
        changed = before ^ _options(self.words)
        if "record" in kept and changed:
            raise ValueError(
                f"{self.folder} was run with other options than the study has now: "
                f"{', '.join(sorted(changed))}. Give another --output, or remove it and "
                f"{self._file} to run it anew."
            )
        return kept


def run_study(
    study: Study, output: Path, script: Path, jobs: int, keep_checkpoints: bool
) -> dict[str, str]:
    """Run what is not done, and write ``study.json`` and ``cost.json`` after each run.

    SIGTERM and Ctrl-C end it when its runs have saved.

    Arguments
    ---------
    study : Study
        What is to be run.
    output : Path
        The folder of everything that it writes.
    script : Path
        train.py.
    jobs : int
        How many run at once, a thread each.
    keep_checkpoints : bool
        Whether those of runs that are done are kept.

    Returns
    -------
    dict
        By run, why it failed; empty if all are done.
    """
    runs = [StudyRun(plan, output, script) for plan in study.runs]
    loop = _Loop(study, output, runs, keep_checkpoints)
    with Termination() as termination, StudyProgress(len(runs), loop.done()) as loop.progress:
        loop.write()
        try:
            while (loop.waiting or loop.running) and not termination.requested:
                loop.start(jobs)
                loop.collect()
                time.sleep(POLL)
        finally:
            end_all(loop.running.values())
        if termination.requested:
            done = f"{loop.done()} of {len(runs)} runs done"
            termination.stop(f"the study, {done}; the others go on with the same command.")
    return loop.failures


class _Loop:
    """What waits, what runs and what failed."""

    progress: StudyProgress

    def __init__(
        self, study: Study, output: Path, runs: Sequence[StudyRun], keep_checkpoints: bool
    ) -> None:
        self.study = study
        self.output = output
        self.runs = runs
        self.keep_checkpoints = keep_checkpoints
        self.waiting = [run for run in runs if not run.done]
        self.running: dict[StudyRun, Child] = {}
        self.failures: dict[str, str] = {}
        self._told: set[StudyRun] = set()

    def done(self) -> int:
        return sum(run.done for run in self.runs)

    def start(self, jobs: int) -> None:
        """Start what waits, in its order, but for what another process still has."""
        for run in list(self.waiting):
            if len(self.running) >= jobs:
                return
            holder = run.in_use()
            if holder is None:
                self.waiting.remove(run)
                self.running[run] = run.start()
            elif run not in self._told:
                self._told.add(run)
                self.progress.say(f"{run.plan.name} waits. {holder}")

    def collect(self) -> None:
        """Record what has ended, and show the rest."""
        for run, child in list(self.running.items()):
            code = child.code()
            if code is not None:
                del self.running[run]
                self._end(run, child, code)
        shown = {run.plan.name: (run.epochs(), run.plan.epochs) for run in self.running}
        self.progress.show(shown, self.done())

    def _end(self, run: StudyRun, child: Child, code: int) -> None:
        why = "" if code == 0 else f"{how_it_ended(code)}: {child.last_words()}"
        if not why:
            try:
                run.finish()
            except (OSError, ValueError) as error:
                why = str(error)
        if why:
            self.failures[run.plan.name] = f"{why} (All that it printed: {run.printed})"
            self.progress.say(f"{run.plan.name} failed, {why}")
            return
        self.progress.say(f"{run.plan.name}: {score_means(run.record['results'])}")
        self.write()

    def write(self) -> None:
        """Write what is known of all that is done; then their checkpoints have served."""
        of_experiment = self.study.experiments.index
        done = [run for run in self.runs if run.done]
        done.sort(key=lambda run: of_experiment(run.plan.experiment))  # seeds keep their order
        head = {
            "experiments": self.study.experiments,
            "seeds": self.study.seeds,
            "reference": self.study.reference,
        }
        write_whole(self.output / "study.json", study_text(head, [run.record for run in done]))
        costs: dict[str, dict[int, Any]] = {}
        for run in done:
            costs.setdefault(run.plan.experiment, {})[run.plan.seed] = run.kept["cost"]
        write_whole(self.output / "cost.json", json.dumps(costs, indent=1) + "\n")
        if not self.keep_checkpoints:
            for run in done:
                run.delete_checkpoints()


def _options(words: Sequence[str]) -> set[str]:
    """Those of a command that make a run what it is, wherever it is."""
    return {
        word for word in words if word.startswith("--") and not word.startswith("--output_folder=")
    } | {Path(word).name for word in words if word.endswith(".yaml")}
