"""A study's numbers: each experiment over its seeds, and which differences are more than noise."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from statistics import mean
from typing import Any

from vmsp_brain.method.conflict import VERDICTS
from vmsp_brain.run.convergence import PLATEAU, last_quarter
from vmsp_brain.watch.multitask import delta_m, higher_is_better, mean_ranks, pareto_front
from vmsp_brain.watch.seeds import Difference, Interval, established, interval, paired_difference

METRICS = {"wer": "asr", "bleu": "st"}
"""By score, the task that has it."""

Runs = Mapping[int, Mapping[str, Any]]
"""Of one experiment: records by seed, see `vmsp_brain.run.study_record.record_of`."""

Costs = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By experiment and seed."""


def summarize(data: Mapping[str, Any], costs: Costs) -> dict[str, Any]:
    """Everything that a study's report says.

    Arguments
    ---------
    data : dict
        From `vmsp_brain.run.study_record.read_study_data`.
    costs : dict
        What each run took, or nothing.

    Returns
    -------
    dict
        Plain values for JSON: ``seeds`` and ``reference`` as the data has them, ``tasks`` (all
        objectives with a test score), ``missing`` (runs that are not there), ``experiments`` (each
        one's intervals, Δm, rank, alignment, plateau, conflict, cost), ``differences`` (by metric,
        of each two experiments) and ``pareto_front``.

    Raises
    ------
    ValueError
        If there is no run.
    """
    runs = {
        name: {run["seed"]: run for run in data["runs"] if run["experiment"] == name}
        for name in data["experiments"]
    }
    found = {name: of_seeds for name, of_seeds in runs.items() if of_seeds}
    if not found:
        raise ValueError("The study has no run that is done, expected one or more to report on.")
    scores = {name: scores_by_seed(of_seeds) for name, of_seeds in found.items()}
    tasks = list(dict.fromkeys(task for of in scores.values() for task in next(iter(of.values()))))
    reference = _reference(data["reference"], scores, tasks)
    ranks = mean_ranks(_whole({name: _means(of) for name, of in scores.items()}, tasks))
    experiments = {
        name: {
            **_describe(found[name]),
            **_test_means(found[name], scores[name], tasks),
            "tasks": {task: _plain(interval(of)) for task, of in _by_task(scores[name]).items()},
            "delta_m": _delta_m(scores[name], reference, tasks),
            "mean_rank": _rounded(ranks.get(name)),
            "cost": _cost(costs.get(name, {})),
        }
        for name in found
    }
    points = {
        name: (of["wer"]["mean"], of["bleu"]["mean"])
        for name, of in experiments.items()
        if of["wer"] and of["bleu"]
    }
    return {
        "seeds": data["seeds"],
        "reference": data["reference"],
        "tasks": tasks,
        "missing": [
            f"{name} {seed}" for name in runs for seed in data["seeds"] if seed not in runs[name]
        ],
        "experiments": experiments,
        "differences": {
            metric: _differences({n: found[n] for n in found if experiments[n][metric]}, metric)
            for metric in METRICS
        },
        "pareto_front": pareto_front(points),
    }


def scores_by_seed(runs: Runs) -> dict[int, dict[str, float]]:
    """Test scores of one experiment, by seed and task."""
    return {
        seed: {
            f"{task}/{part}": score
            for metric, task in METRICS.items()
            for part, score in run["results"].get(metric, {}).items()
        }
        for seed, run in runs.items()
    }


def _by_task(scores: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    """By task, a value for each seed."""
    tasks = next(iter(scores.values()))
    return {task: [of_seed[task] for of_seed in scores.values()] for task in tasks}


def _means(scores: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    return {task: mean(values) for task, values in _by_task(scores).items()}


def _whole(
    scores: Mapping[str, Mapping[str, float]], tasks: Sequence[str]
) -> dict[str, Mapping[str, float]]:
    """The experiments that were scored on all tasks."""
    return {name: of for name, of in scores.items() if set(of) == set(tasks)}


def _reference(
    patterns: Mapping[str, str],
    scores: Mapping[str, Mapping[int, Mapping[str, float]]],
    tasks: Iterable[str],
) -> dict[str, float]:
    """By task, the mean score of the experiment that Δm is measured against."""
    found: dict[str, float] = {}
    for task in tasks:
        for pattern, name in patterns.items():
            if fnmatch(task, pattern) and name in scores:
                found |= {own: of for own, of in _means(scores[name]).items() if own == task}
    return found


def _delta_m(
    scores: Mapping[int, Mapping[str, float]], reference: Mapping[str, float], tasks: Sequence[str]
) -> dict[str, Any] | None:
    """The interval over seeds; the reference counts as it is, its own seeds' noise is not in it."""
    if reference.keys() != set(tasks):
        return None
    values = [delta_m(of_seed, reference) for of_seed in scores.values()]
    known = [value for value in values if value is not None]
    return _plain(interval(known)) if len(known) == len(values) else None


def _test_means(
    runs: Runs, scores: Mapping[int, Mapping[str, float]], tasks: Sequence[str]
) -> dict[str, Any]:
    """The interval of each mean score, None if some of its tasks were not tested."""
    tested = set(next(iter(scores.values())))
    means: dict[str, Any] = {}
    for metric, task in METRICS.items():
        own = {name for name in tasks if name.startswith(f"{task}/")}
        values = [run["results"].get(f"{metric}_mean") for run in runs.values()]
        means[metric] = _plain(interval(values)) if own and own <= tested else None
        means[f"{metric}_by_seed"] = values
    return means


def _describe(runs: Runs) -> dict[str, Any]:
    """How the runs of an experiment came to their scores."""
    late = [run["primary"]["late_improvement"] for run in runs.values()]
    measure = next(iter(runs.values()))["primary"]["measure"]
    scored = f"{METRICS[measure.lower()]}/" if measure.lower() in METRICS else ""
    return {
        "seeds": list(runs),
        "aligned": [run["aligned"] for run in runs.values()],
        "measure": measure,
        "last_quarter": [
            last_quarter(_points(run["primary"]["scores"]), higher_is_better(scored))
            for run in runs.values()
        ],
        "late_improvement": late,
        "plateau": [value is not None and value < PLATEAU for value in late],
        "conflict": {
            verdict: _rounded(mean(values))
            for verdict in VERDICTS
            if (values := [*_known(run["conflict"].get(verdict, []) for run in runs.values())])
        },
        "lambda": {
            name: [_rounded(run["lambda"][name][-1]) for run in runs.values()]
            for name in next(iter(runs.values()))["lambda"]
        },
        "lambda_of_task": [_ends(run["lambda"], scored) for run in runs.values()],
    }


def _points(by_epoch: Sequence[float | None]) -> list[tuple[int, float]]:
    """A curve's points, of the epochs that have a value."""
    return [(epoch, value) for epoch, value in enumerate(by_epoch, 1) if value is not None]


def _ends(lambdas: Mapping[str, Sequence[float | None]], scored: str) -> list[float] | None:
    """The mean λ of a task's objectives, in the first epoch that has it and in the last."""
    curves = [[*_known([curve])] for name, curve in lambdas.items() if name.startswith(scored)]
    known = [curve for curve in curves if curve]
    return [round(mean(curve[end] for curve in known), 4) for end in (0, -1)] if known else None


def _known(curves: Iterable[Sequence[float | None]]) -> Iterable[float]:
    return (value for curve in curves for value in curve if value is not None)


def _cost(of_seeds: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for of in of_seeds.values() for name in of))
    return {
        name: _plain(interval([of[name] for of in of_seeds.values() if name in of]))
        for name in names
    }


def _differences(runs: Mapping[str, Runs], metric: str) -> list[dict[str, Any]]:
    """Of each two experiments."""
    means = {
        name: {seed: run["results"][f"{metric}_mean"] for seed, run in of_seeds.items()}
        for name, of_seeds in runs.items()
    }
    found: list[tuple[str, str, Difference]] = []
    for first, second in itertools.combinations(runs, 2):
        difference = paired_difference(means[first], means[second])
        if difference is not None:
            found.append((first, second, difference))
    sure = established([difference for *_, difference in found])
    return [
        {"first": first, "second": second, **_plain(difference), "established": beyond_noise}
        for (first, second, difference), beyond_noise in zip(found, sure, strict=True)
    ]


def better(report: Mapping[str, Any], metric: str) -> dict[str, list[str]]:
    """By experiment, those that it is better than by more than seeds' noise.

    Arguments
    ---------
    report : dict
        From `summarize`.
    metric : str
        ``wer`` or ``bleu``.
    """
    sign = 1 if higher_is_better(f"{METRICS[metric]}/") else -1
    found: dict[str, list[str]] = {name: [] for name in report["experiments"]}
    for difference in report["differences"][metric]:
        if difference["established"]:
            pair = (difference["first"], difference["second"])
            winner, loser = pair if sign * difference["mean"] > 0 else reversed(pair)
            found[winner].append(loser)
    return found


def _plain(found: Interval | Difference) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in found._asdict().items()}


def _rounded(value: float | None) -> float | None:
    if value is None or isinstance(value, int):
        return value
    return round(value, 4) + 0.0  # of -0.00001 no minus zero
