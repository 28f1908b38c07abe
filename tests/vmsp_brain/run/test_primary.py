"""The best checkpoint is the best one by the primary level's own objectives."""

import pytest

from vmsp_brain.run.primary import primary_curve, primary_metric, primary_score
from vmsp_brain.run.scores import Hypothesis, results

HYPOTHESES = {
    "asr/en": [Hypothesis("1", "a b c d", "a b c x")],  # WER 25
    "asr/fr": [Hypothesis("2", "a b c d", "x y z d")],  # 75
    "asr/de": [Hypothesis("3", "a b c", "a b x")],
    "st/fr-en": [Hypothesis("2", "one two three four five", "one two three four six")],
    "st/de-en": [Hypothesis("3", "one two three four five", "one two three four five")],
}
LOSSES = {"ssl": 4.0, "asr/en": 2.0, "st/fr-en": 1.0}


def test_which_score_it_is_follows_from_the_level():
    assert primary_metric(["asr/en", "st/fr-en", "ssl"]) == {"min_key": "primary_WER"}
    assert primary_metric(["st/fr-en", "ssl"]) == {"max_key": "primary_BLEU"}
    assert primary_metric(["ssl"]) == {"min_key": "primary_loss"}


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (["asr/en"], {"primary_WER": 25.0}),
        (["asr/en", "st/fr-en", "asr/fr"], {"primary_WER": 50.0}),
        (["st/de-en", "ssl"], {"primary_BLEU": 100.0}),
        (["ssl"], {"primary_loss": 4.0}),
    ],
)
def test_the_score_is_the_mean_of_the_levels_own_languages_or_pairs(objectives, expected):
    assert primary_score(objectives, HYPOTHESES, LOSSES) == pytest.approx(expected)


def test_of_all_languages_or_pairs_it_is_the_reports_mean():
    report = results(HYPOTHESES)
    for task, metric, mean in (("asr", "WER", "wer_mean"), ("st", "BLEU", "bleu_mean")):
        names = [name for name in HYPOTHESES if name.startswith(task)]
        assert primary_score(names, HYPOTHESES, {}) == {f"primary_{metric}": report[mean]}


def test_what_a_short_validation_has_not_seen_is_left_out():
    seen = {"asr/en": HYPOTHESES["asr/en"], "asr/fr": []}
    assert primary_score(["asr/en", "asr/fr"], seen, {}) == {"primary_WER": 25.0}
    assert primary_score(["asr/fr"], seen, {}) == {}
    assert primary_score(["ssl"], seen, {}) == {}


def test_the_curve_is_the_mean_of_the_primary_levels_own():
    curves = {
        "WER_valid/en": [(1, 90.0), (2, 40.0)],
        "WER_valid/fr": [(1, 100.0), (2, 60.0)],
        "WER_valid/mean": [(1, 1.0), (2, 1.0)],
        "BLEU_valid/fr-en": [(1, 3.0), (2, 5.0)],
        "loss_valid/ssl": [(1, 4.0), (2, 3.0)],
    }
    assert primary_curve(["asr/en", "asr/fr", "st/fr-en"], curves) == [(1, 95.0), (2, 50.0)]
    assert primary_curve(["st/fr-en", "ssl"], curves) == [(1, 3.0), (2, 5.0)]
    assert primary_curve(["ssl"], curves) == [(1, 4.0), (2, 3.0)]
    with pytest.raises(ValueError, match="lack WER_valid/de"):
        primary_curve(["asr/de"], curves)
