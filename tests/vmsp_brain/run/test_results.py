import json

from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import results_table
from vmsp_brain.run.scores import Hypothesis, results

MADE = {
    "asr/fr": [Hypothesis("x1", "il pleut", "il pleut"), Hypothesis("x2", "bon jour", "bonjour")],
    "st/fr-en": [Hypothesis("x1", "It is raining.", "It is raining.")],
}


def test_files_hold_the_scores_and_every_hypothesis(tmp_path):
    report = results(MADE)
    RunFolder(tmp_path).write_results(report, MADE)
    assert json.loads((tmp_path / "results.json").read_text()) == report
    lines = (tmp_path / "test" / "asr_fr.tsv").read_text().splitlines()
    assert lines == ["id\treference\thypothesis", "x1\til pleut\til pleut", "x2\tbon jour\tbonjour"]
    assert {path.name for path in tmp_path.rglob("*.*")} == {
        "results.json",
        "asr_fr.tsv",
        "st_fr-en.tsv",
    }


def test_the_table_shows_every_score():
    report = results(MADE)
    table = results_table(report)
    for name, score in {**report["wer"], **report["bleu"]}.items():
        assert f"{name:<12}{score:>8.2f}" in table
    assert report["bleu_signature"] in table
    assert "BLEU" not in results_table(results({"asr/fr": MADE["asr/fr"]}))
