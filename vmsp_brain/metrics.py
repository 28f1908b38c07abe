"""What is measured: mean losses of an epoch, word error rate (jiwer) and BLEU (sacreBLEU)."""

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


def bleu_signature() -> str:
    """How sacreBLEU scored: its signature."""
    metric = sacrebleu.BLEU()
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def results(hypotheses: Mapping[str, list[Hypothesis]]) -> dict:
    """WER of every language and BLEU of every pair, with their means, in percent.

    Arguments
    ---------
    hypotheses : dict
        By objective, ``asr/<language>`` or ``st/<source>-<target>``.

    Returns
    -------
    dict
        ``wer`` and ``bleu`` by language and pair, ``wer_mean``, ``bleu_mean`` and
        ``bleu_signature``. What has no hypotheses (``--debug`` evaluates few batches) is not there.
    """
    report: dict = {}
    for task, metric, score in (("asr", "wer", word_error_rate), ("st", "bleu", bleu)):
        scores = {
            name.partition("/")[2]: score(made)
            for name, made in hypotheses.items()
            if name.startswith(f"{task}/") and made
        }
        if scores:
            report[metric] = {name: round(value, 2) for name, value in scores.items()}
            report[f"{metric}_mean"] = round(sum(scores.values()) / len(scores), 2)
    if "bleu" in report:
        report["bleu_signature"] = bleu_signature()
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
