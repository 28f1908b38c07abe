"""Several runs side by side: their scores, which differences are more than luck, what they cost."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmsp_brain.method.conflict import VERDICTS, mean_per_tasks, shares
from vmsp_brain.run.record import RecordedRun
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.watch.significance import SAMPLES, Compared, compare

TASK_OF = {"wer": "asr", "bleu": "st"}
BEST_OF = {"wer": min, "bleu": max}
LISTED = 20
"""Differing utterances that an error message lists."""

LEARNED = {"wer": 80.0, "bleu": 5.0}
"""A mean WER above, or a mean BLEU below: the model has not learned its task."""

ENOUGH_UTTERANCES = 100
"""In all of a task's test sets; what is found on fewer says little about others."""


def compare_runs(runs: Mapping[str, RecordedRun]) -> dict[str, Any]:
    """Compare runs on their common test set; the first is the baseline.

    Arguments
    ---------
    runs : dict
        By name, two or more.

    Returns
    -------
    dict
        Plain values for JSON, rounded as they are shown: ``baseline``, ``resamples``,
        ``utterances`` by objective, ``runs`` (scores, cost and conflicts of each), ``differences``
        (to the baseline, by metric, language or pair, and run) and ``best`` (by metric: the run,
        and its difference to every other on the mean).

    Raises
    ------
    ValueError
        If there are fewer than two runs, or they were not tested on the same utterances.
    """
    if len(runs) < 2:
        raise ValueError(f"Found {len(runs)} run, expected two or more to compare.")
    check_same_tests(runs)
    baseline = next(iter(runs))
    report: dict[str, Any] = {
        "baseline": baseline,
        "resamples": SAMPLES,
        "utterances": {name: len(made) for name, made in runs[baseline].hypotheses.items()},
        "runs": {name: _describe(run) for name, run in runs.items()},
        "differences": {},
        "best": {},
        "doubts": {},
    }
    if "bleu_signature" in runs[baseline].report:
        report["bleu_signature"] = runs[baseline].report["bleu_signature"]
    for metric, task in TASK_OF.items():
        made = {name: _of_task(run, task, runs[baseline]) for name, run in runs.items()}
        if not made[baseline]:
            continue
        compared = compare(made, metric, baseline)
        for name in runs:
            scores = {part: round(of_run[name].score, 2) for part, of_run in compared.items()}
            report["runs"][name][f"{metric}_mean"] = scores.pop("mean")
            report["runs"][name][metric] = scores
        report["differences"][metric] = {
            part: _differences(of_run, baseline) for part, of_run in compared.items()
        }
        best = BEST_OF[metric](runs, key=lambda name: compared["mean"][name].score)
        against = compare(made, metric, best)["mean"] if best != baseline else compared["mean"]
        report["best"][metric] = {"run": best, "others": _differences(against, best)}
        report["doubts"][metric] = doubts_of(report, metric)
    return report


def doubts_of(report: Mapping[str, Any], metric: str) -> list[str]:
    """Why no run can be recommended by this metric, in words for people; empty if one can."""
    runs, bound = report["runs"], LEARNED[metric]
    doubts = []
    for name, run in runs.items():
        mean = run[f"{metric}_mean"]
        if BEST_OF[metric](mean, bound) == bound and mean != bound:
            doubts.append(f"{name} has not learned the task ({metric.upper()} {mean:.2f})")
    epochs = {name: run["epochs"] for name, run in runs.items()}
    if len(set(epochs.values())) > 1:
        budgets = ", ".join(f"{name} {number}" for name, number in epochs.items())
        doubts.append(f"the runs were not trained for equally many epochs ({budgets})")
    task = TASK_OF[metric]
    utterances = sum(n for o, n in report["utterances"].items() if o.startswith(f"{task}/"))
    if utterances < ENOUGH_UTTERANCES:
        doubts.append(
            f"{utterances} test utterances are too few, expected {ENOUGH_UTTERANCES} or more"
        )
    return doubts


def check_same_tests(runs: Mapping[str, RecordedRun]) -> None:
    """Refuse to compare runs that were tested on different utterances or references.

    Raises
    ------
    ValueError
        The message lists the utterances.
    """
    baseline, *others = runs
    for other in others:
        first, second = runs[baseline].hypotheses, runs[other].hypotheses
        faults = []
        for objective in sorted(first.keys() | second.keys()):
            left = {h.id: h.reference for h in first.get(objective, [])}
            right = {h.id: h.reference for h in second.get(objective, [])}
            faults += [f"{objective} {key}: only in {baseline}" for key in left if key not in right]
            faults += [f"{objective} {key}: only in {other}" for key in right if key not in left]
            faults += [
                f"{objective} {key}: the reference is {left[key]!r} in {baseline}, {right[key]!r} "
                f"in {other}"
                for key in left
                if key in right and left[key] != right[key]
            ]
        if faults:
            more = f"\n  and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
            raise ValueError(
                f"{runs[baseline].folder} and {runs[other].folder} were not tested on the same "
                "utterances:\n  " + "\n  ".join(faults[:LISTED]) + more + "\nTest both on the same "
                "manifests with evaluate.py, or compare other runs."
            )


def names_of(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Short names for run folders: the folder's own, or the whole path where two are alike.

    Raises
    ------
    ValueError
        If two paths lead to the same folder.
    """
    paths = [Path(folder) for folder in folders]
    first_of: dict[Path, Path] = {}
    for path in paths:
        first = first_of.setdefault(path.resolve(), path)
        if first is not path:
            raise ValueError(
                f"{first} and {path} are the same run, expected different ones to compare."
            )
    own = [path.resolve().name for path in paths]
    return {
        name if own.count(name) == 1 else str(path): path
        for name, path in zip(own, paths, strict=True)
    }


def _of_task(run: RecordedRun, task: str, baseline: RecordedRun) -> dict[str, list[Hypothesis]]:
    """By language or pair, in the baseline's order of objectives and utterances."""
    parts = {}
    for objective, reference in baseline.hypotheses.items():
        own_task, _, part = objective.partition("/")
        if own_task == task:
            by_id = {made.id: made for made in run.hypotheses[objective]}
            parts[part] = [by_id[made.id] for made in reference]
    return parts


def _differences(
    of_run: Mapping[str, Compared], baseline: str
) -> dict[str, dict[str, float | None]]:
    base = round(of_run[baseline].score, 2)
    return {
        name: {
            "difference": round(round(compared.score, 2) - base, 2),
            "p_value": _p_value(compared, of_run[baseline]),
        }
        for name, compared in of_run.items()
        if name != baseline
    }


def _p_value(compared: Compared, baseline: Compared) -> float | None:
    """None for equal scores, of which sacreBLEU's test says nothing."""
    if compared.p_value is None or compared.score == baseline.score:
        return None
    return round(compared.p_value, 4)


def _describe(run: RecordedRun) -> dict[str, Any]:
    """Folder, order, and of what was recorded: time, memory and conflicts; None if it was not."""
    cost = {
        key: [value for _, value in run.curves.get(f"cost/{key}", [])]
        for key in ("minutes", "cpu_minutes", "memory_gib")
    }
    verdicts = {epoch: shares(found) for epoch, found in run.conflicts.items()}
    last = run.conflicts[max(run.conflicts)] if run.conflicts else {}
    by_task = {tasks: mean for tasks, mean in mean_per_tasks(last).items() if not math.isnan(mean)}
    return {
        "folder": str(run.folder),
        "order": run.order,
        "epochs": _last_epoch(run),
        "minutes": round(sum(cost["minutes"]), 1) if cost["minutes"] else None,
        "cpu_minutes": round(sum(cost["cpu_minutes"]), 1) if cost["cpu_minutes"] else None,
        "memory_gib": round(max(cost["memory_gib"]), 2) if cost["memory_gib"] else None,
        "verdicts": {
            epoch: {verdict: round(share, 3) for verdict, share in of_epoch.items()}
            for epoch, of_epoch in verdicts.items()
        },
        **{
            f"{verdict}_mean": _mean([of_epoch[verdict] for of_epoch in verdicts.values()])
            for verdict in VERDICTS
        },
        "similarity_by_tasks": {tasks: round(mean, 3) for tasks, mean in by_task.items()},
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


def _last_epoch(run: RecordedRun) -> int:
    curves = (curve for tag, curve in run.curves.items() if tag.startswith("loss_valid/"))
    return max(step for curve in curves for step, _ in curve)
