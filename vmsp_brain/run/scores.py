"""What is measured: mean losses of an epoch, WER and CER (jiwer), BLEU and chrF (sacreBLEU)."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jiwer
import sacrebleu
from speechbrain.utils.logger import get_logger

from vmsp_brain.names import split_pair
from vmsp_brain.run.normalization import normalizer_of

logger = get_logger(__name__)


@dataclass
class Hypothesis:
    """One utterance's reference and what the model made of it."""

    id: str
    reference: str
    hypothesis: str


WITHOUT_SPACES = ("ja", "km", "lo", "my", "th", "yue", "zh")
"""Languages that are written without spaces between words: errors are counted in characters."""


def counts_characters(language: str) -> bool:
    """Whether a language's word error rate is that of characters, the usual one for it."""
    return language.partition("-")[0] in WITHOUT_SPACES


def countable(text: str, language: str) -> str:
    """The text with a space between what a word error rate counts: words or characters."""
    return " ".join("".join(text.split())) if counts_characters(language) else text


def word_error_rate(hypotheses: list[Hypothesis], language: str) -> float:
    """Corpus-level word error rate in percent (jiwer), see `counts_characters`."""
    return 100.0 * jiwer.wer(*_countable_columns(hypotheses, language))


def word_errors(hypotheses: list[Hypothesis], language: str) -> dict[str, int]:
    """What the word error rate is made of (jiwer).

    Returns
    -------
    dict
        ``words`` of the references, ``insertions``, ``deletions`` and ``substitutions``.
    """
    output = jiwer.process_words(*_countable_columns(hypotheses, language))
    return {
        "words": output.hits + output.substitutions + output.deletions,
        "insertions": output.insertions,
        "deletions": output.deletions,
        "substitutions": output.substitutions,
    }


def character_error_rate(hypotheses: list[Hypothesis], language: str) -> float:
    """Corpus-level character error rate in percent, spaces are characters (jiwer)."""
    return 100.0 * jiwer.cer(*_columns(hypotheses))


def bleu_metric(pair: str) -> sacrebleu.BLEU:
    """sacreBLEU's BLEU with its own choice of a tokenizer for the target language of a pair.

    Where that needs a package which is not there (Japanese), characters are its tokens; its
    signature says so, ``tok:char``.
    """
    _, target = split_pair(pair)
    return sacrebleu.BLEU(**_tokenizer(target.partition("-")[0]))


@functools.cache
def _tokenizer(language: str) -> dict[str, Any]:
    try:
        sacrebleu.BLEU(trg_lang=language)
    except RuntimeError as error:
        logger.warning(
            f"BLEU into {language} is that of characters (tok:char in its signature), not "
            f"comparable with others' figures. {' '.join(str(error).split())}"
        )
        return {"tokenize": "char"}
    return {"trg_lang": language}


def bleu(hypotheses: list[Hypothesis], pair: str) -> float:
    """Corpus BLEU with sacreBLEU's defaults for the target language, 0 to 100."""
    references, predicted = _columns(hypotheses)
    return bleu_metric(pair).corpus_score(predicted, [references]).score


def chrf(hypotheses: list[Hypothesis], pair: str) -> float:
    """Corpus chrF2 with sacreBLEU's defaults (Popović, 2015), 0 to 100."""
    references, predicted = _columns(hypotheses)
    return sacrebleu.corpus_chrf(predicted, [references]).score


def signature(metric: sacrebleu.BLEU | sacrebleu.CHRF) -> str:
    """How a metric of sacreBLEU scores: its signature."""
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def accuracy(hypotheses: list[Hypothesis], _: str = "") -> float:
    """Share of hypotheses that are the reference, in percent; ``lid`` has no part to name."""
    return 100.0 * sum(h.reference == h.hypothesis for h in hypotheses) / len(hypotheses)


SCORES: dict[str, dict[str, Callable[[list[Hypothesis], str], float]]] = {
    "asr": {"wer": word_error_rate, "cer": character_error_rate},
    "st": {"bleu": bleu, "chrf": chrf},
}
"""What the objectives of each task are scored with, given the language or pair."""


def results(
    hypotheses: Mapping[str, list[Hypothesis]], settings: Mapping[str, Any] | None = None
) -> dict:
    """Scores of every language and pair, with their means, in percent.

    Arguments
    ---------
    hypotheses : dict
        By objective, ``asr/<language>``, ``st/<source>-<target>`` or ``lid``.
    settings : dict, optional
        The experiment's; ``asr_text`` and ``wer_normalizer`` count, see `normalizer_of`.

    Returns
    -------
    dict
        ``wer``, ``cer`` and `word_errors` by language, ``bleu`` and ``chrf`` by pair, ``lid``, the
        share of utterances whose language was identified, by language; the scores' means, such as
        ``wer_mean``; ``bleu_signature`` and ``chrf_signature``; if there are any,
        ``wer_of_characters``, the languages whose ``wer`` counts characters. With a normalizer
        also ``wer_normalized`` by language, of texts that ``wer_normalized_by`` has normalized.
        What has no hypotheses (``--debug`` evaluates few batches) is not there.
    """
    report: dict = {}
    for task, metrics in SCORES.items():
        texts = {
            name.partition("/")[2]: spoken
            for name, spoken in hypotheses.items()
            if name.startswith(f"{task}/") and spoken
        }
        if not texts:
            continue
        for metric, score in metrics.items():
            scores = {part: score(spoken, part) for part, spoken in texts.items()}
            report |= _with_mean(metric, scores)
        report |= _how_counted(texts) if task == "asr" else _signatures(texts)
        if task == "asr":
            report |= _normalized(texts, settings or {})
    if hypotheses.get("lid"):
        report |= _identification(hypotheses["lid"])
    return report


def _normalized(
    texts: Mapping[str, list[Hypothesis]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    normalizer = normalizer_of(settings)
    if normalizer is None:
        return {}
    scores = {
        language: word_error_rate(
            [
                Hypothesis(
                    made.id,
                    normalizer(made.reference, language),
                    normalizer(made.hypothesis, language),
                )
                for made in spoken
            ],
            language,
        )
        for language, spoken in texts.items()
    }
    return {
        **_with_mean("wer_normalized", scores),
        "wer_normalized_by": normalizer.signature,
    }


def _identification(hypotheses: list[Hypothesis]) -> dict:
    of_language: dict[str, list[Hypothesis]] = {}
    for hypothesis in hypotheses:
        of_language.setdefault(hypothesis.reference, []).append(hypothesis)
    scores = {language: accuracy(spoken) for language, spoken in of_language.items()}
    return _with_mean("lid", scores)


def _with_mean(metric: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """As a report has them, rounded."""
    mean = sum(scores.values()) / len(scores)
    rounded = {part: round(value, 2) for part, value in scores.items()}
    return {metric: rounded, f"{metric}_mean": round(mean, 2)}


def _how_counted(texts: Mapping[str, list[Hypothesis]]) -> dict:
    characters = [language for language in texts if counts_characters(language)]
    return {
        "word_errors": {
            language: word_errors(spoken, language) for language, spoken in texts.items()
        },
        **({"wer_of_characters": characters} if characters else {}),
    }


def _signatures(pairs: Iterable[str]) -> dict[str, str]:
    """Of BLEU one for all pairs, or where tokenizers differ one for each."""
    by_pair = {pair: signature(bleu_metric(pair)) for pair in pairs}
    different = list(dict.fromkeys(by_pair.values()))
    listed = "; ".join(f"{pair} {text}" for pair, text in by_pair.items())
    return {
        "bleu_signature": different[0] if len(different) == 1 else listed,
        "chrf_signature": signature(sacrebleu.CHRF()),
    }


def _columns(hypotheses: list[Hypothesis]) -> tuple[list[str], list[str]]:
    return [item.reference for item in hypotheses], [item.hypothesis for item in hypotheses]


def _countable_columns(hypotheses: list[Hypothesis], language: str) -> tuple[list[str], list[str]]:
    references, predicted = _columns(hypotheses)
    count = functools.partial(countable, language=language)
    return list(map(count, references)), list(map(count, predicted))
