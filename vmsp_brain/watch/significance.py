"""Is one system better than another on a test set, or lucky? Paired bootstrap resampling.

sacreBLEU's test (Koehn, Statistical Significance Tests for Machine Translation Evaluation, EMNLP
2004) is used as it is: for BLEU, for word error rate, and for the means of both over languages. So
the p-values of BLEU are those of the command ``sacrebleu --paired-bs``. They tell how far the
result depends on the choice of test utterances, not on the seed of training.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.significance import PairedTest

from vmsp_brain.run.scores import Hypothesis, bleu_metric, countable

SAMPLES = 1000
"""Resamples, sacreBLEU's default."""

Made = Mapping[str, Mapping[str, Sequence[Hypothesis]]]
"""By system, then by language or pair: what it made of the same utterances in the same order."""


@dataclass
class Compared:
    """A system's score on a test set, and how likely its difference to the baseline is chance.

    Arguments
    ---------
    score : float
        In percent.
    p_value : float, optional
        None for the baseline itself. Of a system that made exactly the same, it says nothing:
        sacreBLEU counts no resample as chance then.
    """

    score: float
    p_value: float | None


class WER(Metric):
    """Word error rate (jiwer) as a metric of sacreBLEU: edits and words of every utterance.

    Arguments
    ---------
    language : str
        See `vmsp_brain.run.scores.counts_characters`.
    """

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language

    def _compute_score_from_stats(self, stats: Sequence[float]) -> Score:
        edits, words = stats
        if words == 0:
            return Score("WER", 100.0 * float(edits > 0))
        return Score("WER", 100.0 * float(edits) / float(words))

    def _aggregate_and_compute(self, stats: list[list[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    def _preprocess_segment(self, sent: str) -> str:
        return countable(sent, self.language)

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, str]:
        return {"reference": refs[0]}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[int]:
        found = jiwer.process_words(ref_kwargs["reference"], hypothesis)
        edits = found.substitutions + found.deletions + found.insertions
        return [edits, found.hits + found.substitutions + found.deletions]


class MeanOverLanguages(Metric):
    """The mean of scores on several languages or pairs, as a metric of sacreBLEU.

    An utterance's statistics stand in its language's place, so a resample of all utterances is
    scored language by language.

    Arguments
    ---------
    metrics : dict
        Of sacreBLEU, one for each language; they are alike but for what they take for a word.
    languages : list of str
        Each utterance's.
    """

    def __init__(self, metrics: Mapping[str, Metric], languages: Sequence[str]) -> None:
        super().__init__()
        self.metrics = metrics
        self.metric = next(iter(metrics.values()))
        self.languages = languages
        self.places = {language: place for place, language in enumerate(metrics)}

    def _extract_corpus_statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]] | None
    ) -> list[list[float]]:
        spread: list[list[float]] = []
        for language, hypothesis, *texts in zip(
            self.languages, hypotheses, *(references or ()), strict=True
        ):
            [stats] = self.metrics[language]._extract_corpus_statistics(
                [hypothesis], [[text] for text in texts]
            )
            width = len(stats)
            row: list[float] = [0] * (width * len(self.places))
            start = width * self.places[language]
            row[start : start + width] = stats
            spread.append(row)
        self.num_refs = self.metric.num_refs
        return spread

    def _compute_score_from_stats(self, stats: list[float]) -> Score:
        width = len(stats) // len(self.places)
        starts = range(0, len(stats), width)
        scores = [
            self.metric._compute_score_from_stats(stats[start : start + width]).score
            for start in starts
        ]
        return Score("mean", sum(scores) / len(scores))

    def _aggregate_and_compute(self, stats: list[list[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    # An utterance is read by the metric inside.
    _preprocess_segment = None  # type: ignore[assignment]
    _extract_reference_info = None  # type: ignore[assignment]
    _compute_segment_statistics = None  # type: ignore[assignment]


METRICS: dict[str, Callable[[str], Metric]] = {"wer": WER, "bleu": bleu_metric}


def compare(made: Made, metric: str, baseline: str) -> dict[str, dict[str, Compared]]:
    """Score systems on each language or pair and on their mean, and test them against a baseline.

    Arguments
    ---------
    made : dict
        By system, then by language or pair; the systems' utterances are the same.
    metric : str
        ``wer`` or ``bleu``.
    baseline : str
        The system that the others are tested against.

    Returns
    -------
    dict
        By language or pair and for ``mean``: `Compared` by system.

    Example
    -------
    >>> right = [Hypothesis(str(i), "a b c d", "a b c d") for i in range(20)]
    >>> wrong = [Hypothesis(str(i), "a b c d", "a b x d") for i in range(20)]
    >>> compare({"A": {"fr": right}, "B": {"fr": wrong}}, "wer", "A")["fr"]["B"]
    Compared(score=25.0, p_value=0.000999000999000999)
    """
    parts = list(made[baseline])
    metrics = {part: METRICS[metric](part) for part in parts}
    compared = {part: _paired_test(made, [part], metrics[part], baseline) for part in parts}
    languages = [part for part in parts for _ in made[baseline][part]]
    mean = MeanOverLanguages(metrics, languages)
    return {**compared, "mean": _paired_test(made, parts, mean, baseline)}


def _paired_test(
    made: Made, parts: Sequence[str], metric: Metric, baseline: str
) -> dict[str, Compared]:
    names = [baseline, *(name for name in made if name != baseline)]
    systems: list[tuple[str, Sequence[str]]] = [
        (name, [h.hypothesis for part in parts for h in made[name][part]]) for name in names
    ]
    references = [h.reference for part in parts for h in made[baseline][part]]
    logging.getLogger("sacrebleu").setLevel(logging.WARNING)  # it announces every resampling
    test = PairedTest(systems, {"metric": metric}, [references], "bs", SAMPLES)
    scores: dict[str, Any] = test()[1]
    _, results = scores.values()  # the systems' names, and the scores of the metric
    return {
        name: Compared(result.score, result.p_value)
        for name, result in zip(names, results, strict=True)
    }
