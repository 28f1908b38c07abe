"""What a study keeps of a run: its scores, how they came about, and how it can be repeated.

A study's data is two files. ``study.json``, a line for each run, has nothing in it that depends on
when it was run: a study that was killed and went on ends with the same bytes as one that was not.
``cost.json`` has what the runs took on this machine.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmsp_brain.method.conflict import VERDICTS, shares
from vmsp_brain.run.best import primary_objectives
from vmsp_brain.run.convergence import first_below, late_improvement
from vmsp_brain.run.curves import Curve
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.primary import primary_curve, primary_metric
from vmsp_brain.run.record import read_run
from vmsp_brain.run.train_log import read_lambdas

Record = dict[str, Any]
"""Of one run: plain values for JSON."""

VALIDATION = {"WER": "WER_valid", "BLEU": "BLEU_valid", "loss": "loss_valid"}
"""What is kept of the validations, by name, and the curves' group."""

HEAD = ("experiments", "seeds", "reference")
OF_RUNS = (
    "experiment",
    "seed",
    "results",
    "validation",
    "primary",
    "aligned",
    "lambda",
    "conflict",
)


def record_of(folder: Path) -> Record:
    """What a run that was trained and tested tells of itself.

    Returns
    -------
    dict
        ``results`` (the file's content), ``epochs``, curves with a value (or None) for each epoch:
        ``validation`` by measure and name, ``lambda`` by objective (at the epoch's end),
        ``conflict`` by verdict (a share); ``primary`` (the measure by which the best checkpoint is
        chosen, its scores, and by how much they improved in the last quarter of the epochs) and
        ``aligned`` (the first epoch with a mean WER below 50 %).

    Raises
    ------
    FileNotFoundError, ValueError
        If something is missing or damaged; the message says what.
    """
    run, found = RunFolder(folder), read_run(folder)
    last = max(step for tag, curve in found.curves.items() if "_valid/" in tag for step, _ in curve)
    objectives = primary_objectives(run)
    [(best, key)] = primary_metric(objectives).items()
    primary = primary_curve(objectives, found.curves)
    verdicts = {epoch: shares(pairs) for epoch, pairs in found.conflicts.items()}
    lambdas = read_lambdas(run.path("train_log"))
    return {
        "results": found.report,
        "epochs": last,
        "validation": {
            name: {
                tag.partition("/")[2]: _by_epoch(curve, last)
                for tag, curve in found.curves.items()
                if tag.startswith(f"{group}/")
            }
            for name, group in VALIDATION.items()
        },
        "primary": {
            "measure": key.removeprefix("primary_"),
            "scores": _by_epoch(primary, last),
            "late_improvement": _rounded(late_improvement(primary, best == "max_key")),
        },
        "aligned": first_below(found.curves.get("WER_valid/mean", [])),
        "lambda": {name: _by_epoch(curve, last) for name, curve in lambdas.items()},
        "conflict": {
            verdict: _by_epoch([(epoch, of[verdict]) for epoch, of in verdicts.items()], last)
            for verdict in VERDICTS
        }
        if verdicts
        else {},
    }


def cost_of(folder: Path) -> dict[str, float]:
    """What a run took: minutes, CPU minutes and memory of its epochs."""
    curves = RunFolder(folder).read_curves()
    spent = {
        key: [value for _, value in curves[f"cost/{key}"]]
        for key in ("minutes", "cpu_minutes", "memory_gib")
        if f"cost/{key}" in curves
    }
    return {
        key: round(max(values) if key == "memory_gib" else sum(values), 3)
        for key, values in spent.items()
    }


def study_text(head: Mapping[str, Any], records: Sequence[Record]) -> str:
    """A study as JSON, with a line for each run.

    Example
    -------
    >>> print(study_text({"seeds": [1, 2]}, [{"seed": 1}, {"seed": 2}]), end="")
    {"seeds": [1, 2], "runs": [
    {"seed": 1},
    {"seed": 2}
    ]}
    """
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "runs": [\n{lines}\n]}}\n'


def read_study_data(path: Path) -> dict[str, Any]:
    """What `study_text` made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or of another kind.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"found {type(found).__name__}, expected an object")
        missing = [key for key in (*HEAD, "runs") if key not in found]
        missing += [key for key in OF_RUNS for run in found.get("runs", []) if key not in run]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged, expected a study.json: {error}.") from error
    if missing:
        raise ValueError(
            f"{path} is damaged, or no study.json: it has no {', '.join(dict.fromkeys(missing))}. "
            "Give the file that study.py wrote."
        )
    return dict(found)


def _by_epoch(curve: Curve, last: int) -> list[float | None]:
    """A value for each epoch 1, 2, ..."""
    values = dict(curve)
    return [_rounded(values.get(epoch)) for epoch in range(1, last + 1)]


def _rounded(value: float | None) -> float | None:
    """To five digits, of which TensorBoard's single precision is sure."""
    return None if value is None else float(f"{value:.5g}")
