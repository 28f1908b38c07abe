"""A study as a report for people, in Markdown: what its seeds show, and what they do not."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vmsp_brain.method.conflict import VERDICTS
from vmsp_brain.run.convergence import ALIGNED, PLATEAU
from vmsp_brain.watch.pages import listed, table, with_pictures
from vmsp_brain.watch.study import better

Report = Mapping[str, Any]
"""From `vmsp_brain.watch.study.summarize`."""

MEANS = {"wer": "mean WER, %", "bleu": "mean BLEU"}
CLEARLY = {"wer": "a lower WER than", "bleu": "a higher BLEU than"}
COSTS = {
    "cpu_minutes": ("CPU minutes", ".1f"),
    "minutes": ("minutes", ".1f"),
    "memory_gib": ("peak memory, GiB", ".2f"),
}
NOTHING = "–"
DELTA_M = (
    "Δm: by how much an experiment is worse than the reference, in percent of the reference's "
    "score, mean over all tasks (the WER of each language, the BLEU of each pair); less is better, "
    "below 0 is better than the reference (Maninis et al., CVPR 2019; Liu et al., NeurIPS 2021). "
    "The noise of the reference's own seeds is not in its interval. Mean rank: over the same "
    "tasks, 1 is best."
)
FEW_SEEDS = {
    1: "Of some experiment there is one seed: no interval can be given, and no difference to it "
    "can be told from the noise of seeds. It is one draw.",
    2: "Of some experiment there are two seeds: its interval is 12.7 standard errors to either "
    "side, so that hardly any difference can be told from the noise of seeds. Three are the least "
    "to go by.",
}


def to_markdown(report: Report, figures: Mapping[str, str]) -> str:
    """The report's text.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.watch.study.summarize`; every number shown is in it.
    figures : dict
        Captions by the pictures' paths, relative to the report.
    """
    return with_pictures([*_results(report), *_clear(report), *_how(report)], figures)


def _results(report: Report) -> Iterator[str]:
    seeds = min(len(of["seeds"]) for of in report["experiments"].values())
    yield f"# {len(report['experiments'])} experiments over {len(report['seeds'])} seeds"
    yield "## Results"
    yield FEW_SEEDS.get(
        seeds, "Test scores: mean over the seeds ± the 95 % interval (Student's t)."
    )
    if report["missing"]:
        yield f"Not done yet, or failed: {listed(report['missing'])}."
    yield results_table(report)
    against = " and ".join(f"{name} ({part})" for part, name in report["reference"].items())
    yield f"{DELTA_M} Reference: {against.replace(' (*)', '') or 'none'}."
    if report["pareto_front"]:
        yield (
            f"**Pareto front** of mean WER and mean BLEU: {listed(report['pareto_front'])}. Each "
            "of the others is worse than one of these in one of them, and better in neither."
        )
    partial = [
        name for name, of in report["experiments"].items() if not of["wer"] and not of["bleu"]
    ]
    if partial:
        yield f"Tested on some tasks alone: {listed(partial)}."
        yield _tasks_table(report, partial)


def results_table(report: Report) -> str:
    """The experiments in their order: WER, BLEU, Δm, rank, alignment."""
    header = ["experiment", "seeds", *MEANS.values(), "Δm, %", "mean rank", "aligned in epoch"]
    rows = [
        [
            name,
            str(len(of["seeds"])),
            *(_interval(of[metric]) for metric in MEANS),
            _interval(of["delta_m"], "+.1f"),
            NOTHING if of["mean_rank"] is None else f"{of['mean_rank']:.1f}",
            _alignment(of["aligned"]) if of["wer"] else NOTHING,
        ]
        for name, of in report["experiments"].items()
        if of["wer"] or of["bleu"]
    ]
    return table(header, rows)


def _tasks_table(report: Report, names: Sequence[str]) -> str:
    tasks = [task for task in report["tasks"] if any(task in _tasks(report, n) for n in names)]
    rows = [
        [name, *(_interval(_tasks(report, name).get(task)) for task in tasks)] for name in names
    ]
    return table(["experiment", *tasks], rows)


def _tasks(report: Report, name: str) -> Mapping[str, Any]:
    return report["experiments"][name]["tasks"]


def _clear(report: Report) -> Iterator[str]:
    """Which differences are more than noise."""
    yield "## Which differences are more than noise"
    if all(len(of["seeds"]) < 2 for of in report["experiments"].values()):
        yield "With one seed of each, none can be told."
        return
    yield (
        "Paired t-tests over the seeds that two experiments share, of each two of them, corrected "
        "for their number (Benjamini and Hochberg): of the differences below, at most 5 % are "
        "expected to be none. All others are within the noise of these seeds."
    )
    found = {metric: better(report, metric) for metric in MEANS}
    rows = [
        [name, *(listed(found[metric][name] or [NOTHING]) for metric in MEANS)]
        for name in report["experiments"]
        if any(found[metric][name] for metric in MEANS)
    ]
    yield table(["experiment", *CLEARLY.values()], rows) if rows else "**None of them is.**"
    for metric, title in MEANS.items():
        baseline = _baseline(report, metric)
        if baseline is not None:
            yield f"{title}, difference to {baseline}, seed by seed:"
            yield _difference_table(report, metric, baseline)


def _baseline(report: Report, metric: str) -> str | None:
    """The reference of Δm if it has this mean, else the best experiment."""
    means = {
        name: of[metric]["mean"] * (1 if metric == "wer" else -1)
        for name, of in report["experiments"].items()
        if of[metric]
    }
    references = [name for name in report["reference"].values() if name in means]
    if len(means) < 2:
        return None
    return references[0] if references else min(means, key=lambda name: means[name])


def _difference_table(report: Report, metric: str, baseline: str) -> str:
    rows = []
    for found in report["differences"][metric]:
        if baseline in (found["first"], found["second"]):
            forward = found["second"] == baseline
            mean = found["mean"] if forward else -found["mean"]
            p_value = NOTHING if found["p_value"] is None else f"{found['p_value']:.4f}"
            shown = _interval({**found, "mean": mean}, "+.2f")
            name = found["first"] if forward else found["second"]
            rows.append([name, shown, p_value, "yes" if found["established"] else "no"])
    return table(["experiment", "difference", "p (uncorrected)", "more than noise"], rows)


def _how(report: Report) -> Iterator[str]:
    """Convergence, λ, conflict, cost."""
    yield from _convergence(report)
    yield "## λ and conflict"
    yield "λ at the end of training: the mean over seeds of each objective's weight in its level."
    yield _lambda_table(report)
    if any(of["conflict"] for of in report["experiments"].values()):
        yield "Share of (layer, pair of objectives) whose expected gradients agree or conflict:"
        yield _conflict_table(report)
    yield "## Cost"
    if any(of["cost"] for of in report["experiments"].values()):
        yield "Of a run's training and validation, beside whatever else the machine did."
        yield _cost_table(report)
    else:
        yield "Not recorded: there is no cost.json beside the study's data."


def _convergence(report: Report) -> Iterator[str]:
    yield "## Had they converged?"
    yield (
        "A run is on a plateau if the score by which its best checkpoint is chosen improved by "
        f"less than {PLATEAU:.0%} of itself in the last quarter of the epochs. Aligned: the first "
        f"epoch with a mean validation WER below {ALIGNED:.0f} %."
    )
    yield _plateau_table(report)
    unready = [name for name, of in report["experiments"].items() if not all(of["plateau"])]
    if not unready:
        yield "All runs end on a plateau."
        return
    yield (
        f"**Not on a plateau, with a seed or more: {listed(unready)}.** Their rank may be that "
        "of the moment at which training ended. Why: below are, of each such run, the best score "
        "before the last quarter and in all, and the mean λ of the task that is scored, in "
        "the first epoch and in the last (the curves are in a figure). A score near 0 % changes by "
        "much of itself with one word; objectives that lose their λ learn slowly; all others "
        "were still learning when the learning rate had fallen."
    )
    yield _last_quarters(report, unready)


def _plateau_table(report: Report) -> str:
    rows = [
        [
            name,
            of["measure"],
            ", ".join(NOTHING if x is None else f"{x:.1%}" for x in of["late_improvement"]),
            f"{sum(of['plateau'])} of {len(of['seeds'])}",
            ", ".join(NOTHING if epoch is None else str(epoch) for epoch in of["aligned"]),
        ]
        for name, of in report["experiments"].items()
    ]
    header = [
        "experiment",
        "score",
        "late improvement, by seed",
        "on a plateau",
        "aligned, by seed",
    ]
    return table(header, rows)


def _last_quarters(report: Report, unready: Sequence[str]) -> str:
    rows = []
    for name in unready:
        of = report["experiments"][name]
        runs = zip(
            of["seeds"], of["plateau"], of["last_quarter"], of["lambda_of_task"], strict=True
        )
        rows += [
            [f"{name} {seed}", of["measure"], _change(scores), _change(lambdas)]
            for seed, plateau, scores, lambdas in runs
            if not plateau
        ]
    return table(
        ["run", "score", "best before → in all", "λ of the task, first → last epoch"], rows
    )


def _change(ends: Sequence[float] | None) -> str:
    return NOTHING if ends is None else " → ".join(f"{value:.3g}" for value in ends)


def _lambda_table(report: Report) -> str:
    lambdas = {name: of["lambda"] for name, of in report["experiments"].items()}
    objectives = list(dict.fromkeys(key for of in lambdas.values() for key in of))
    rows = [[name, *(_mean(of.get(key)) for key in objectives)] for name, of in lambdas.items()]
    return table(["experiment", *objectives], rows)


def _conflict_table(report: Report) -> str:
    shares = {name: of["conflict"] for name, of in report["experiments"].items() if of["conflict"]}
    rows = [[name, *(f"{of[verdict]:.3f}" for verdict in VERDICTS)] for name, of in shares.items()]
    return table(["experiment", *VERDICTS], rows)


def _cost_table(report: Report) -> str:
    rows = [
        [name, *(_interval(of["cost"].get(key), form) for key, (_, form) in COSTS.items())]
        for name, of in report["experiments"].items()
    ]
    return table(["experiment", *(title for title, _ in COSTS.values())], rows)


def _interval(found: Mapping[str, Any] | None, form: str = ".2f") -> str:
    if found is None:
        return NOTHING
    if found["half_width"] is None:
        return f"{found['mean']:{form}}"
    return f"{found['mean']:{form}} ± {found['half_width']:{form.lstrip('+')}}"


def _mean(values: Sequence[float | None] | None) -> str:
    known = [value for value in values or [] if value is not None]
    return f"{math.fsum(known) / len(known):.2f}" if known else NOTHING


def _alignment(epochs: Sequence[int | None]) -> str:
    """The mean of the seeds that did, and how many did not."""
    known = [epoch for epoch in epochs if epoch is not None]
    if not known:
        return "never"
    mean = f"{sum(known) / len(known):.1f}"
    return mean if len(known) == len(epochs) else f"{mean} ({len(known)} of {len(epochs)})"
