"""What is measured: mean losses of an epoch, WER and CER (jiwer), BLEU and chrF (sacreBLEU)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jiwer
import sacrebleu
import yaml
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


@dataclass
class Hypothesis:
    """One utterance's reference and what the model made of it."""

    id: str
    reference: str
    hypothesis: str


def word_error_rate(hypotheses: list[Hypothesis]) -> float:
    """Corpus-level word error rate in percent (jiwer)."""
    references, predicted = _columns(hypotheses)
    return 100.0 * jiwer.wer(references, predicted)


def bleu(hypotheses: list[Hypothesis]) -> float:
    """Corpus BLEU with sacreBLEU's defaults, 0 to 100."""
    references, predicted = _columns(hypotheses)
    return sacrebleu.corpus_bleu(predicted, [references]).score


def word_errors(hypotheses: list[Hypothesis]) -> dict[str, int]:
    """What the word error rate is made of (jiwer).

    Returns
    -------
    dict
        ``words`` of the references, ``insertions``, ``deletions`` and ``substitutions``.
    """
    found = jiwer.process_words(*_columns(hypotheses))
    return {
        "words": found.hits + found.substitutions + found.deletions,
        "insertions": found.insertions,
        "deletions": found.deletions,
        "substitutions": found.substitutions,
    }


def character_error_rate(hypotheses: list[Hypothesis]) -> float:
    """Corpus-level character error rate in percent (jiwer)."""
    return 100.0 * jiwer.cer(*_columns(hypotheses))


def chrf(hypotheses: list[Hypothesis]) -> float:
    """Corpus chrF2 with sacreBLEU's defaults (Popović, 2015), 0 to 100."""
    references, predicted = _columns(hypotheses)
    return sacrebleu.corpus_chrf(predicted, [references]).score


def signature(metric: sacrebleu.BLEU | sacrebleu.CHRF) -> str:
    """How a metric of sacreBLEU scores: its signature."""
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


SCORES = {
    "asr": {"wer": word_error_rate, "cer": character_error_rate},
    "st": {"bleu": bleu, "chrf": chrf},
}
"""What the objectives of each task are scored with."""


def results(hypotheses: Mapping[str, list[Hypothesis]]) -> dict:
    """Scores of every language and pair, with their means, in percent.

    Arguments
    ---------
    hypotheses : dict
        By objective, ``asr/<language>`` or ``st/<source>-<target>``.

    Returns
    -------
    dict
        ``wer``, ``cer`` and `word_errors` by language, ``bleu`` and ``chrf`` by pair; the scores'
        means, such as ``wer_mean``; ``bleu_signature`` and ``chrf_signature``. What has no
        hypotheses (``--debug`` evaluates few batches) is not there.
    """
    report: dict = {}
    for task, metrics in SCORES.items():
        parts = {
            name.partition("/")[2]: made
            for name, made in hypotheses.items()
            if name.startswith(f"{task}/") and made
        }
        if not parts:
            continue
        for metric, score in metrics.items():
            scores = {part: score(made) for part, made in parts.items()}
            report[metric] = {part: round(value, 2) for part, value in scores.items()}
            report[f"{metric}_mean"] = round(sum(scores.values()) / len(scores), 2)
        if task == "asr":
            report["word_errors"] = {part: word_errors(made) for part, made in parts.items()}
        else:
            report["bleu_signature"] = signature(sacrebleu.BLEU())
            report["chrf_signature"] = signature(sacrebleu.CHRF())
    return report


@register_checkpoint_hooks
class RunningMeans:
    """Means of named values over an epoch, kept in checkpoints so that a resumed epoch is whole.

    Example
    -------
    >>> means = RunningMeans()
    >>> means.add({"loss": 1.0})
    >>> means.add({"loss": 3.0})
    >>> means.summary()
    {'loss': 2.0}
    """

    def __init__(self) -> None:
        self.clear()

    def add(self, values: Mapping[str, float]) -> None:
        """Count one more of each value."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def summary(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def merge(self, other: "RunningMeans") -> None:
        """Count all that another one counted."""
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            self.counts[name] = self.counts.get(name, 0) + other.counts[name]

    def clear(self) -> None:
        """Start again."""
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @mark_as_saver
    def _save(self, path) -> None:
        with Path(path).open("w", encoding="utf-8") as file:
            yaml.safe_dump({"sums": self.sums, "counts": self.counts}, file, sort_keys=False)

    @mark_as_loader
    def _load(self, path, end_of_epoch: bool) -> None:
        with Path(path).open(encoding="utf-8") as file:
            saved = yaml.safe_load(file)
        self.sums, self.counts = saved["sums"], saved["counts"]


def _columns(hypotheses: list[Hypothesis]) -> tuple[list[str], list[str]]:
    return [item.reference for item in hypotheses], [item.hypothesis for item in hypotheses]
