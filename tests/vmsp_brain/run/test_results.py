import json

from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import results_table, score_lines, score_rows
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
        assert f" {name} {score:.2f}" in table
    assert report["bleu_signature"] in table
    assert "BLEU" not in results_table(results({"asr/fr": MADE["asr/fr"]}))


def test_lines_of_many_languages_are_broken_between_scores():
    scores = {f"l{number}-en": float(number) for number in range(40)}
    lines = score_lines("Epoch 1 of 2", {"BLEU": scores}).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 110
    assert [word for line in lines for word in line.split()] == [
        *["Epoch", "1", "of", "2", "BLEU"],
        *(word for name, score in scores.items() for word in (name, f"{score:.2f}")),
    ]
    assert all(line[28 + 7 :].startswith("l") for line in lines)


def test_without_scores_there_is_the_title():
    assert score_lines("Epoch 1 of 2, loss 3.00", score_rows({})) == "Epoch 1 of 2, loss 3.00"


def test_what_is_counted_in_characters_says_so():
    report = {"wer": {"zh": 12.0, "en": 3.0}, "wer_mean": 7.5, "wer_of_characters": ["zh"]}
    assert results_table(report).endswith("WER %  zh (characters) 12.00   en 3.00   mean 7.50")
