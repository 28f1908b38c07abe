"""BLEU and its p-values are those of sacreBLEU's command; WER is jiwer's, resampled alike."""

import json
import subprocess
import sys

import jiwer
import numpy as np
import pytest

from tests.helpers.recorded_runs import make_hypotheses
from vmsp_brain.run.scores import Hypothesis, results
from vmsp_brain.watch.significance import SAMPLES, compare

SYSTEMS = {
    "A": {"fr": make_hypotheses(1, 0.3), "de": make_hypotheses(2, 0.4)},
    "B": {"fr": make_hypotheses(3, 0.25), "de": make_hypotheses(4, 0.3)},
    "C": {"fr": make_hypotheses(5, 0.6), "de": make_hypotheses(6, 0.6)},
}

TRANSLATORS = {
    name: {f"{p}-en": texts for p, texts in own.items()} for name, own in SYSTEMS.items()
}
"""The same texts as translations."""


@pytest.mark.slow
def test_bleu_and_p_values_are_those_of_sacrebleus_command(tmp_path):
    def lines(name: str, texts: list[str]) -> str:
        path = tmp_path / name
        path.write_text("\n".join(texts) + "\n")
        return str(path)

    reference = lines("reference", [h.reference for h in SYSTEMS["A"]["fr"]])
    systems = [lines(name, [h.hypothesis for h in SYSTEMS[name]["fr"]]) for name in SYSTEMS]
    command = [sys.executable, "-m", "sacrebleu", reference, "-i", *systems, "-m", "bleu"]
    command += ["--paired-bs", "--format", "json", "--width", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = json.loads(done.stdout)
    found = compare(TRANSLATORS, "bleu", "A")["fr-en"]
    assert len(expected) == 3
    for system, compared in zip(expected, found.values(), strict=True):
        bleu = system["BLEU"]
        assert compared.score == pytest.approx(bleu["score"], abs=5e-5)
        if bleu["p_value"] is None:
            assert compared.p_value is None
        else:
            assert compared.p_value == pytest.approx(bleu["p_value"], abs=5e-5)


def test_word_error_rate_is_jiwers():
    for part in ("fr", "de"):
        found = compare(SYSTEMS, "wer", "A")[part]
        for name, compared in found.items():
            references = [h.reference for h in SYSTEMS[name][part]]
            heard = [h.hypothesis for h in SYSTEMS[name][part]]
            assert compared.score == pytest.approx(100 * jiwer.wer(references, heard))


@pytest.mark.parametrize(("metric", "parts"), [("wer", ["fr"]), ("wer", ["fr", "de"])])
def test_p_values_are_those_of_resampling_by_hand(metric, parts):
    def edits_and_words(name: str) -> np.ndarray:
        """By utterance and language, (N, languages, 2)."""
        table = np.zeros((sum(len(SYSTEMS[name][part]) for part in parts), len(parts), 2))
        row = 0
        for place, part in enumerate(parts):
            for h in SYSTEMS[name][part]:
                words = len(h.reference.split())
                table[row, place] = round(jiwer.wer(h.reference, h.hypothesis) * words), words
                row += 1
        return table

    def score(table: np.ndarray) -> float:
        return float(np.mean([100 * edits / words for edits, words in table.sum(0)]))

    base, other = edits_and_words("A"), edits_and_words("B")
    chosen = np.random.default_rng(12345).choice(len(base), size=(SAMPLES, len(base)))
    differences = np.array([abs(score(base[i]) - score(other[i])) for i in chosen])
    observed = abs(score(base) - score(other))
    expected = (1 + np.sum(differences - differences.mean() > observed)) / (1 + SAMPLES)
    found = compare({name: {p: SYSTEMS[name][p] for p in parts} for name in "AB"}, metric, "A")
    key = "mean" if len(parts) > 1 else parts[0]
    assert found[key]["B"].p_value == pytest.approx(expected, abs=2 / SAMPLES)
    assert found[key]["B"].score == pytest.approx(score(other))


def test_the_mean_is_that_of_the_languages_scores():
    for metric, systems in (("wer", SYSTEMS), ("bleu", TRANSLATORS)):
        found = compare(systems, metric, "A")
        first, second, mean = found.values()
        for name in systems:
            expected = (first[name].score + second[name].score) / 2
            assert mean[name].score == pytest.approx(expected)


def test_languages_count_words_or_characters_and_take_their_own_tokenizer():
    """As the results of a run do, whose figures a comparison must repeat."""
    chinese = [Hypothesis("1", "我喜欢猫和狗。", "我喜欢猫和鸟。")]
    english = [Hypothesis("2", "a cat sat down here", "a cat sat here")]
    recognized = compare({"A": {"zh-CN": chinese, "en": english}}, "wer", "A")
    translated = compare({"A": {"en-zh-CN": chinese, "fr-en": english}}, "bleu", "A")
    report = results({"asr/zh-CN": chinese, "asr/en": english})
    report |= results({"st/en-zh-CN": chinese, "st/fr-en": english})
    for metric, compared in (("wer", recognized), ("bleu", translated)):
        expected = {**report[metric], "mean": report[f"{metric}_mean"]}
        assert {part: round(own["A"].score, 2) for part, own in compared.items()} == expected


def test_a_far_system_is_significantly_worse():
    found = compare({"A": SYSTEMS["A"], "C": SYSTEMS["C"]}, "wer", "A")
    assert found["mean"]["C"].p_value < 0.01


def test_references_without_words_count_what_was_heard():
    empty = {"fr": [Hypothesis("1", "", "noise"), Hypothesis("2", "", "")]}
    assert compare({"A": empty}, "wer", "A")["fr"]["A"].score == 100.0
