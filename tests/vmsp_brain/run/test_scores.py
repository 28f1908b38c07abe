"""Scores are jiwer's and sacreBLEU's own; running means survive a checkpoint."""

import sys

import jiwer
import pytest
import sacrebleu
from speechbrain.utils.checkpoints import Checkpointer

from vmsp_brain.run import scores
from vmsp_brain.run.running_means import RunningMeans
from vmsp_brain.run.scores import (
    Hypothesis,
    bleu,
    character_error_rate,
    chrf,
    results,
    signature,
    word_error_rate,
    word_errors,
)

REFERENCES = ["the cat sat on the mat", "a dog ran home", "it is raining cats and dogs"]
PREDICTED = ["the cat sat on a mat", "a dog ran", "it is raining cats and dogs today"]


def made(references=REFERENCES, predicted=PREDICTED) -> list[Hypothesis]:
    pairs = zip(references, predicted, strict=True)
    return [Hypothesis(str(i), *pair) for i, pair in enumerate(pairs)]


def test_word_error_rate_is_jiwers_in_percent():
    assert word_error_rate(made(), "en") == pytest.approx(100 * jiwer.wer(REFERENCES, PREDICTED))
    # 1 substitution, 1 deletion, 1 insertion in 16 words: corpus level, not a mean of utterances
    assert word_error_rate(made(), "en") == pytest.approx(100 * 3 / 16)


def test_word_error_rate_counts_words_heard_where_there_are_none():
    assert word_error_rate(made(["", "a b"], ["x", "a b"]), "en") == pytest.approx(50.0)


def test_nothing_heard_is_all_words_deleted():
    assert word_error_rate(made(predicted=["", "", ""]), "en") == 100.0


def test_bleu_is_sacrebleus():
    expected = sacrebleu.corpus_bleu(PREDICTED, [REFERENCES]).score
    assert bleu(made(), "fr-en") == expected
    assert 0 < expected < 100


def test_perfect_hypotheses_score_0_and_100():
    perfect = made(predicted=REFERENCES)
    assert word_error_rate(perfect, "en") == 0
    assert bleu(perfect, "fr-en") == pytest.approx(100)


WRITTEN = ["The cat sat, didn't it?", "Dr. Smith’s dog ran home.", "10 cats (two dogs)!"]
HEARD = ["the cat sat didn't it", "Doctor Smith's dog ran home", "Ten cats two dogs"]
NORMALIZED_BY = {
    "covost": (
        ["the cat sat didn't it", "dr smith's dog ran home", "10 cats two dogs"],
        ["the cat sat didn't it", "doctor smith's dog ran home", "ten cats two dogs"],
    ),
    "whisper": (
        ["the cat sat did not it", "doctor smith s dog ran home", "10 cats"],
        ["the cat sat did not it", "doctor smith is dog ran home", "10 cats 2 dogs"],
    ),
}


@pytest.mark.parametrize("normalizer", NORMALIZED_BY)
def test_sentences_are_scored_as_they_are_and_normalized_both_as_jiwer_does(normalizer):
    settings = {"asr_text": "cased", "wer_normalizer": normalizer}
    found = results({"asr/en": made(WRITTEN, HEARD)}, settings)
    assert found["wer"]["en"] == round(100 * jiwer.wer(WRITTEN, HEARD), 2)
    expected = round(100 * jiwer.wer(*map(list, NORMALIZED_BY[normalizer])), 2)
    assert found["wer_normalized"] == {"en": expected}
    assert found["wer_normalized_mean"] == expected < found["wer"]["en"]
    assert ("transformers" in found["wer_normalized_by"]) == (normalizer == "whisper")


def test_text_that_is_normalized_has_a_second_score_by_another_normalizer_alone():
    hypotheses = {"asr/fr": made(["l'été à dix"], ["l été à dix"])}
    plain = results(hypotheses)
    assert "wer_normalized" not in plain
    assert results(hypotheses, {"asr_text": "normalized", "wer_normalizer": "covost"}) == plain
    whisper = results(hypotheses, {"asr_text": "normalized", "wer_normalizer": "whisper"})
    assert (whisper["wer"], whisper["wer_normalized"]) == (plain["wer"], {"fr": 0.0})
    assert {key: whisper[key] for key in plain} == plain


def test_signatures_are_those_of_the_defaults():
    for part in ("nrefs:1", "case:mixed", "tok:13a", "smooth:exp", sacrebleu.__version__):
        assert part in signature(sacrebleu.BLEU())
    for part in ("nrefs:1", "case:mixed", "nc:6", "nw:0", sacrebleu.__version__):
        assert part in signature(sacrebleu.CHRF())


def test_word_errors_add_up_to_the_word_error_rate():
    errors = word_errors(made(), "en")
    assert errors == {"words": 16, "insertions": 1, "deletions": 1, "substitutions": 1}
    wrong = errors["insertions"] + errors["deletions"] + errors["substitutions"]
    assert word_error_rate(made(), "en") == pytest.approx(100 * wrong / errors["words"])


def test_character_error_rate_is_jiwers_and_chrf_is_sacrebleus():
    assert character_error_rate(made(), "en") == pytest.approx(
        100 * jiwer.cer(REFERENCES, PREDICTED)
    )
    # "the" -> "a": 3 edits; " home" missing: 5; " today" inserted: 6; of 63 characters
    assert character_error_rate(made(), "en") == pytest.approx(100 * 14 / 63)
    assert chrf(made(), "fr-en") == sacrebleu.corpus_chrf(PREDICTED, [REFERENCES]).score


def test_results_have_a_figure_per_objective_and_their_mean():
    hypotheses = {
        "asr/en": made(),
        "asr/fr": made(predicted=REFERENCES),
        "st/fr-en": made(),
        "st/en-de": made(predicted=REFERENCES),
    }
    report = results(hypotheses)
    assert "wer_of_characters" not in report
    assert report["wer"] == {"en": 18.75, "fr": 0.0}
    assert report["wer_mean"] == pytest.approx(18.75 / 2, abs=0.01)
    assert report["bleu"] == {"fr-en": round(bleu(made(), "fr-en"), 2), "en-de": 100.0}
    assert report["bleu_mean"] == pytest.approx((bleu(made(), "fr-en") + 100) / 2, abs=0.01)
    assert report["bleu_signature"] == signature(sacrebleu.BLEU())


def test_chinese_and_japanese_errors_are_counted_in_characters():
    """Written without spaces, a sentence would be one word, right or wrong as a whole."""
    chinese = made(["我 喜欢猫", "好"], ["我喜欢狗", "好"])
    assert word_error_rate(chinese, "zh-CN") == pytest.approx(100 * 1 / 5)
    assert word_errors(chinese, "zh-CN")["words"] == 5
    report = results({"asr/zh-CN": chinese, "asr/en": made()})
    assert report["wer"] == {"zh-CN": 20.0, "en": 18.75}
    assert report["wer_mean"] == pytest.approx((20 + 18.75) / 2, abs=0.01)
    assert report["wer_of_characters"] == ["zh-CN"]


def test_bleu_takes_sacrebleus_tokenizer_for_the_target_language():
    references, predicted = ["我喜欢猫和狗。"], ["我喜欢猫和鸟。"]
    expected = sacrebleu.corpus_bleu(predicted, [references], tokenize="zh").score
    assert bleu(made(references, predicted), "en-zh-CN") == pytest.approx(expected)
    assert expected > 1 > bleu(made(references, predicted), "zh-CN-en")
    report = results({"st/en-zh-CN": made(references, predicted), "st/fr-en": made()})
    chinese, english = report["bleu_signature"].split("; ")
    assert chinese.startswith("en-zh-CN ") and "tok:zh" in chinese
    assert english.startswith("fr-en ") and "tok:13a" in english


def test_japanese_without_its_package_is_bleu_of_characters_and_says_so(monkeypatch, caplog):
    """The package that finds its words may be there or not; here it is not."""
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)
    scores._tokenizer.cache_clear()
    references, predicted = ["猫が好きです。"], ["犬が好きです。"]
    with caplog.at_level("WARNING"):
        report = results({"st/en-ja": made(references, predicted)})
    scores._tokenizer.cache_clear()
    expected = sacrebleu.corpus_bleu(predicted, [references], tokenize="char").score
    assert report["bleu"]["en-ja"] == pytest.approx(expected, abs=0.01)
    assert "tok:char" in report["bleu_signature"]
    assert "tok:char in its signature" in caplog.text and "sacrebleu[ja]" in caplog.text


def test_results_leave_out_tasks_without_objectives():
    recognition = {"wer", "wer_mean", "cer", "cer_mean", "word_errors"}
    translation = {"bleu", "bleu_mean", "bleu_signature", "chrf", "chrf_mean", "chrf_signature"}
    assert set(results({"asr/en": made()})) == recognition
    assert set(results({"st/fr-en": made()})) == translation
    assert results({}) == {}


def test_running_means_are_means_of_what_was_added():
    means = RunningMeans()
    means.add({"a": 1.0, "b": 10.0})
    means.add({"a": 2.0})
    assert means.summary() == {"a": 1.5, "b": 10.0}
    other = RunningMeans()
    other.add({"b": 40.0, "c": 7.0})
    other.add({"b": 40.0})
    means.merge(other)
    assert means.summary() == {"a": 1.5, "b": 30.0, "c": 7.0}
    means.clear()
    assert means.summary() == {}


def test_running_means_continue_exactly_from_a_checkpoint(tmp_path):
    whole, resumed = RunningMeans(), RunningMeans()
    for number in range(1, 8):
        whole.add({"asr/fr": 1 / number, "λ st/fr-en": 1e-17 * number})
    Checkpointer(tmp_path, {"means": whole}).save_checkpoint()
    resumed.add({"asr/fr": 5.0})  # is forgotten
    Checkpointer(tmp_path, {"means": resumed}).recover_if_possible()
    for means in (whole, resumed):
        means.add({"asr/fr": 1 / 3})
    assert resumed.summary() == whole.summary()
