"""Several tasks in one number: Δm %, the mean rank, and the Pareto front.

Tasks are objectives with a test score: the WER of ``asr/fr``, of which less is better, the BLEU of
``st/fr-en``, of which more is better.
"""

from collections.abc import Mapping
from statistics import mean

from scipy.stats import rankdata

Scores = Mapping[str, float]
"""By task."""


def higher_is_better(task: str) -> bool:
    """Whether a task's score is BLEU."""
    return task.startswith("st/")


def delta_m(scores: Scores, reference: Scores) -> float | None:
    """Δm %: by how much a method is worse than a reference, mean over the tasks; less is better.

    Δm = 1/K Σ_k (-1)^{δ_k} (M_k - R_k) / R_k, with δ_k = 1 where more is better (Maninis et al.,
    *Attentive Single-Tasking of Multiple Tasks*, CVPR 2019; in this sign since Liu et al.,
    *Conflict-Averse Gradient Descent*, NeurIPS 2021).

    Arguments
    ---------
    scores, reference : dict
        Of the method and of the reference, by task.

    Returns
    -------
    float
        In percent; None if they have not the same tasks, or the reference has a score of 0.

    Example
    -------
    >>> delta_m({"asr/fr": 9.0, "st/fr-en": 30.0}, {"asr/fr": 10.0, "st/fr-en": 40.0})
    7.5
    """
    if scores.keys() != reference.keys() or not scores or 0 in reference.values():
        return None
    return 100 * mean(
        (-1 if higher_is_better(task) else 1) * (score - reference[task]) / reference[task]
        for task, score in scores.items()
    )


def mean_ranks(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Each method's rank on a task, 1 for the best, mean over the tasks; equal ones share ranks.

    Arguments
    ---------
    scores : dict
        By method; all have the same tasks.

    Example
    -------
    >>> mean_ranks({"A": {"asr/fr": 9.0, "st/fr-en": 3.0}, "B": {"asr/fr": 12.0, "st/fr-en": 3.0}})
    {'A': 1.25, 'B': 1.75}
    """
    tasks = next(iter(scores.values()), {})
    columns = [
        rankdata([-of[task] if higher_is_better(task) else of[task] for of in scores.values()])
        for task in tasks
    ]
    return {
        name: float(mean(float(column[number]) for column in columns))
        for number, name in enumerate(scores)
        if columns
    }


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The methods that no other one is better than in one of two scores and as good in the other.

    Arguments
    ---------
    points : dict
        By method, WER and BLEU.

    Returns
    -------
    list of str
        From the lowest WER on.

    Example
    -------
    >>> pareto_front({"A": (5.0, 30.0), "B": (6.0, 40.0), "C": (7.0, 35.0)})
    ['A', 'B']
    """

    def dominated(wer: float, bleu: float) -> bool:
        return any(
            other != (wer, bleu) and other[0] <= wer and other[1] >= bleu
            for other in points.values()
        )

    front = [name for name, point in points.items() if not dominated(*point)]
    return sorted(front, key=lambda name: points[name])
