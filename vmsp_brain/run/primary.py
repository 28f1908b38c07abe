"""The score of the primary level's own objectives, by which a run's best checkpoint is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from vmsp_brain.run.curves import Curve
from vmsp_brain.run.scores import Hypothesis, bleu, word_error_rate

METRICS = {"asr": ("min_key", "WER", word_error_rate), "st": ("max_key", "BLEU", bleu)}
"""By task: which checkpoint is best, the score's name, the score."""


def primary_metric(objectives: Sequence[str]) -> dict[str, str]:
    """How the best checkpoint is found: keyword arguments for SpeechBrain's ``find_checkpoint``.

    Arguments
    ---------
    objectives : list of str
        The primary level's. If some recognize, the best checkpoint has their least mean WER; else,
        if some translate, their highest mean BLEU; else their least mean loss.

    Example
    -------
    >>> primary_metric(["asr/en", "st/fr-en"])
    {'min_key': 'primary_WER'}
    """
    for task, (key, metric, _) in METRICS.items():
        if _of_task(objectives, task):
            return {key: f"primary_{metric}"}
    return {"min_key": "primary_loss"}


def primary_score(
    objectives: Sequence[str],
    hypotheses: Mapping[str, list[Hypothesis]],
    losses: Mapping[str, float],
) -> dict[str, float]:
    """That score, under the key that `primary_metric` names; nothing if none is known (--debug).

    Arguments
    ---------
    objectives : list of str
        The primary level's.
    hypotheses : dict
        By objective, of a whole validation.
    losses : dict
        By objective, mean losses of the validation.
    """
    [key] = primary_metric(objectives).values()
    for task, (_, _, score) in METRICS.items():
        names = _of_task(objectives, task)
        if names:
            seen = [name for name in names if hypotheses.get(name)]
            scores = [score(hypotheses[name], name.partition("/")[2]) for name in seen]
            return {key: round(_mean(scores), 2)} if scores else {}
    known = [losses[name] for name in objectives if name in losses]
    return {key: _mean(known)} if known else {}


def primary_curve(objectives: Sequence[str], curves: Mapping[str, Curve]) -> Curve:
    """That score over the epochs of a run, but for rounding.

    Arguments
    ---------
    objectives : list of str
        The primary level's.
    curves : dict
        From `RunFolder.read_curves`.

    Raises
    ------
    ValueError
        If the curves of some of them are not there.
    """
    [key] = primary_metric(objectives).values()
    measure = key.removeprefix("primary_")
    tasks = {metric: task for task, (_, metric, _) in METRICS.items()}
    names = _of_task(objectives, tasks[measure]) if measure in tasks else objectives
    parts = [name.partition("/")[2] if measure in tasks else name for name in names]
    tags = [f"{measure}_valid/{part}" for part in parts]
    missing = [tag for tag in tags if tag not in curves]
    if missing:
        raise ValueError(
            f"The run's TensorBoard scalars lack {', '.join(missing)}, by which its best "
            "checkpoint is chosen: was it validated whole, without --debug?"
        )
    found = [dict(curves[tag]) for tag in tags]
    return [(epoch, _mean([curve[epoch] for curve in found])) for epoch in found[0]]


def epoch_scores(
    objectives: Sequence[str],
    report: Mapping[str, Any],
    hypotheses: Mapping[str, list[Hypothesis]],
    losses: Mapping[str, float],
) -> dict[str, float]:
    """What an epoch's checkpoint tells of its validation: means over all, and `primary_score`.

    Arguments
    ---------
    objectives, hypotheses, losses
        See `primary_score`.
    report : dict
        From `vmsp_brain.run.scores.results`.
    """
    keys = {"WER": "wer_mean", "BLEU": "bleu_mean"}
    means = {name: report[key] for name, key in keys.items() if key in report}
    primary = primary_score(objectives, hypotheses, losses)
    return {**means, "loss": _mean(list(losses.values())), **primary}


def _of_task(objectives: Sequence[str], task: str) -> list[str]:
    return [name for name in objectives if name.startswith(f"{task}/")]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
