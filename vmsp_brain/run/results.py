"""Scores as lines for people."""

import textwrap
from collections.abc import Mapping

WIDTH = 110
_INDENT = 28
_MEASURE = 7
_NO_BREAK = "\u00a0"


def score_lines(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each measure, broken where there are many languages.

    Arguments
    ---------
    title : str
        What was measured, such as ``Epoch 3 of 9, loss 4.51``; alone, if there are no values.
    rows : dict
        By measure, values by name.

    Example
    -------
    >>> print(score_lines("Test", {"WER %": {"en": 2.89, "fr": 1.4}, "BLEU": {"fr-en": 75.61}}))
    Test                        WER %  en 2.89   fr 1.40
                                BLEU   fr-en 75.61
    """
    lines: list[str] = []
    column = max([_MEASURE, *(len(measure) + 1 for measure in rows)])
    for measure, values in rows.items():
        cells = [f"{name} {value:.2f}".replace(" ", _NO_BREAK) for name, value in values.items()]
        lines += textwrap.wrap(
            "   ".join(cells),
            WIDTH,
            initial_indent=f"{'' if lines else title:<{_INDENT}}{measure:<{column}}",
            subsequent_indent=" " * (_INDENT + column),
            break_on_hyphens=False,
        )
    return "\n".join(lines or [title]).replace(_NO_BREAK, " ")


def score_rows(report: Mapping) -> dict[str, dict[str, float]]:
    """Scores of languages and pairs, with their means, as `score_lines` takes them.

    A second WER, of normalized texts, comes after the first.

    A language whose errors are counted in characters says so.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.run.scores.results`.
    """
    of_characters = report.get("wer_of_characters", [])
    rows = {}
    titles = {
        "wer": "WER %",
        "wer_normalized": "normalized",
        "bleu": "BLEU",
        "comet": "COMET",
        "lid": "LID %",
    }
    for metric, title in titles.items():
        if metric in report:
            rows[title] = {
                f"{name} (characters)" if name in of_characters else name: score
                for name, score in {**report[metric], "mean": report[f"{metric}_mean"]}.items()
            }
    return rows


def results_table(report: Mapping) -> str:
    """The scores of a test, and how sacreBLEU made them.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.run.scores.results`.
    """
    table = score_lines("Test", score_rows(report))
    return f"{table}\nsacreBLEU {report['bleu_signature']}" if "bleu_signature" in report else table


def score_means(report: Mapping) -> str:
    """The means of a test's scores in a few words.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.run.scores.results`.

    Example
    -------
    >>> score_means({"wer_mean": 3.4, "bleu_mean": 73.98})
    'mean WER 3.40 %, mean BLEU 73.98'
    """
    units = {"wer": ("WER", " %"), "bleu": ("BLEU", "")}
    return ", ".join(
        f"mean {name} {report[f'{key}_mean']:.2f}{unit}"
        for key, (name, unit) in units.items()
        if f"{key}_mean" in report
    )
