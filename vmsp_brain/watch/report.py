"""A comparison of runs as a report for people, in Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

from vmsp_brain.watch.pages import listed, table, with_pictures

SIGNIFICANT = 0.05
TITLES = {"wer": "WER (%), lower is better", "bleu": "BLEU, higher is better"}
PURPOSE = {"wer": "recognition", "bleu": "translation"}
MEAN = {"wer": "mean WER", "bleu": "mean BLEU"}
UNKNOWN = "not recorded"
VERDICTS = {
    "agree": "that agree",
    "conflict": "that conflict",
    "undecided": "of which noise leaves nothing to be said",
}


def to_markdown(report: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The report's text.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.watch.comparison.compare_runs`; every number shown is in it.
    figures : dict
        Captions by the pictures' paths, relative to the report.
    """
    parts = [
        f"# {' · '.join(report['runs'])}",
        "## Which to choose",
        *_summary(report),
        "## All runs",
        _overview(report),
    ]
    for metric in report["differences"]:
        parts += [f"## Test {TITLES[metric]}", _scores(report, metric)]
        parts += [
            f"Difference to {report['baseline']}, and in brackets the p-value of a paired "
            f"bootstrap test (sacreBLEU's, {report['resamples']} resamples of utterances):",
            _difference_table(report, metric),
        ]
    if "bleu_signature" in report:
        parts.append(f"sacreBLEU signature: `{report['bleu_signature']}`. WER: jiwer.")
    parts += ["## Test utterances", _utterances(report)]
    if any(run["verdicts"] for run in report["runs"].values()):
        parts += [
            "## Conflict",
            "Cosine similarity of the tasks' expected gradients in the last epoch, free of single "
            "steps' noise, mean over layers and languages; negative: the tasks conflict. Where "
            "noise leaves nothing to be said, nothing was recorded.",
            _conflicts(report),
        ]
    return with_pictures(parts, figures)


def _summary(report: Mapping[str, Any]) -> list[str]:
    lines = [_best(report, metric) for metric in report["best"]]
    if set(report["best"]) == {"wer", "bleu"} and not any(report["doubts"].values()):
        lines.append(_both(report))
    return [
        *lines,
        _cheapest(report),
        *_verdicts(report),
        "Each is one training run. The p-values tell how far a difference depends on the choice of "
        "test utterances; another seed may shift scores too.",
    ]


def _best(report: Mapping[str, Any], metric: str) -> str:
    if report["doubts"][metric]:
        reasons = listed(report["doubts"][metric])
        return f"**For {PURPOSE[metric]}: no recommendation**, for {reasons}."
    best = report["best"][metric]
    name = best["run"]
    clear: list[str] = []
    unclear: list[str] = []
    equal: list[str] = []
    for other, found in best["others"].items():
        if found["p_value"] is None:
            equal.append(other)
            continue
        words = f"{other} by {abs(found['difference']):.2f} (p = {found['p_value']:.4f})"
        (clear if found["p_value"] < SIGNIFICANT else unclear).append(words)
    score = report["runs"][name][f"{metric}_mean"]
    text = f"**For {PURPOSE[metric]}: {_label(report, name)}**, {MEAN[metric]} {score:.2f}."
    if clear:
        text += f" It is better than {listed(clear)}."
    if unclear:
        text += (
            f" Its lead over {listed(unclear)} is no more than another choice of test utterances "
            "could make."
        )
    if equal:
        text += f" {listed(equal)} scored the same."
    return text


def _both(report: Mapping[str, Any]) -> str:
    wer, bleu = (report["best"][metric] for metric in ("wer", "bleu"))
    if wer["run"] == bleu["run"]:
        return f"**For both: {_label(report, wer['run'])}**, which has the best of the two means."
    lost = wer["others"][bleu["run"]]["difference"]
    gained = abs(bleu["others"][wer["run"]]["difference"])
    return (
        f"**For both:** choosing {bleu['run']} in place of {wer['run']} gains {gained:.2f} BLEU "
        f"and costs {abs(lost):.2f} points of WER."
    )


def _cheapest(report: Mapping[str, Any]) -> str:
    span = _span(report, "minutes", ".1f")
    return f"**Training time, in minutes:** {span}, beside whatever else the machine did."


def _verdicts(report: Mapping[str, Any]) -> Iterator[str]:
    for verdict, words in VERDICTS.items():
        span = _span(report, f"{verdict}_mean", ".3f")
        yield f"**Share of (layer, pair of objectives) {words}, mean over epochs:** {span}."


def _span(report: Mapping[str, Any], key: str, form: str) -> str:
    """Where the least and the greatest value are."""
    values = {name: run[key] for name, run in report["runs"].items() if run[key] is not None}
    if not values:
        return UNKNOWN
    least, most = (choose(values, key=lambda name: values[name]) for choose in (min, max))
    if values[least] == values[most]:
        return f"{values[least]:{form}} ({', '.join(values)})"
    return f"from {values[least]:{form}} ({least}) to {values[most]:{form}} ({most})"


def _overview(report: Mapping[str, Any]) -> str:
    columns = {
        **{f"{metric}_mean": (MEAN[metric], ".2f") for metric in report["differences"]},
        "epochs": ("epochs", "d"),
        "minutes": ("minutes", ".1f"),
        "cpu_minutes": ("CPU minutes", ".1f"),
        "memory_gib": ("peak memory, GiB", ".2f"),
        **{f"{verdict}_mean": (f"share: {verdict}", ".3f") for verdict in VERDICTS},
    }
    rows = [
        [name, run["order"], *(_shown(run[key], form) for key, (_, form) in columns.items())]
        for name, run in report["runs"].items()
    ]
    return table(["run", "order", *(title for title, _ in columns.values())], rows)


def _scores(report: Mapping[str, Any], metric: str) -> str:
    parts = list(report["differences"][metric])
    rows = [
        [name, *(f"{score:.2f}" for score in (*run[metric].values(), run[f"{metric}_mean"]))]
        for name, run in report["runs"].items()
    ]
    return table(["run", *parts], rows)


def _difference_table(report: Mapping[str, Any], metric: str) -> str:
    differences = report["differences"][metric]
    rows = [
        [name, *(_difference(**found[name]) for found in differences.values())]
        for name in report["runs"]
        if name != report["baseline"]
    ]
    return table(["run", *differences], rows)


def _difference(difference: float, p_value: float | None) -> str:
    return "equal" if p_value is None else f"{difference:+.2f} ({p_value:.4f})"


def _utterances(report: Mapping[str, Any]) -> str:
    counts = report["utterances"]
    return table(["objective", *counts], [["utterances", *map(str, counts.values())]])


def _conflicts(report: Mapping[str, Any]) -> str:
    tasks = sorted({pair for run in report["runs"].values() for pair in run["similarity_by_tasks"]})
    rows = [
        [name, *(_shown(run["similarity_by_tasks"].get(pair), "+.3f") for pair in tasks)]
        for name, run in report["runs"].items()
    ]
    return table(["run", *tasks], rows)


def _shown(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else f"{value:{form}}"


def _label(report: Mapping[str, Any], name: str) -> str:
    order = report["runs"][name]["order"]
    return name if order == name else f"{name} (order {order})"
