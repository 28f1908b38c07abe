"""What is measured: mean losses of an epoch, WER and CER (jiwer), BLEU and chrF (sacreBLEU)."""

from collections.abc import Mapping
from dataclasses import dataclass

import jiwer
import sacrebleu


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


def _columns(hypotheses: list[Hypothesis]) -> tuple[list[str], list[str]]:
    return [item.reference for item in hypotheses], [item.hypothesis for item in hypotheses]
