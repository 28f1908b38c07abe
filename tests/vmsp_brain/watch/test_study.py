"""A study with known answers, and its report."""

import json

import pytest

from tests.helpers.made_studies import make_study
from vmsp_brain.watch.study import better, summarize
from vmsp_brain.watch.study_folder import report_data, report_file
from vmsp_brain.watch.study_report import to_markdown

SCORES = {
    "UAS": {1: (5.0, 80.0), 2: (6.0, 82.0), 3: (7.0, 81.0)},
    "USA": {1: (10.0, 84.0), 2: (11.2, 86.1), 3: (12.1, 85.1)},
    "joint": {1: (20.0, 60.0), 2: (21.2, 62.3), 3: (21.8, 60.7)},
}


@pytest.fixture(scope="module")
def data() -> dict:
    return make_study(SCORES, {"*": "joint"}, falling=["joint"])


@pytest.fixture(scope="module")
def report(data) -> dict:
    return summarize(data, {})


def test_means_have_the_t_interval(report):
    found = report["experiments"]["UAS"]["wer"]
    assert found == {
        "mean": 6.0,
        "half_width": pytest.approx(4.3027 / 3**0.5, abs=1e-3),
        "seeds": 3,
    }


def test_delta_m_is_over_languages_and_pairs(report):
    found = report["experiments"]["UAS"]["delta_m"]
    # WER of en 5, fr 7 against 20, 22; BLEU 81 against 61
    expected = 100 * ((5 - 20) / 20 + (7 - 22) / 22 - (81 - 61) / 61) / 3
    assert found["mean"] == pytest.approx(expected, abs=1e-3)
    assert report["experiments"]["joint"]["delta_m"]["mean"] == pytest.approx(0.0, abs=1e-9)
    ranks = {name: of["mean_rank"] for name, of in report["experiments"].items()}
    assert ranks == {
        "UAS": pytest.approx(4 / 3, abs=1e-3),
        "USA": pytest.approx(5 / 3, abs=1e-3),
        "joint": 3,
    }


def test_the_front_has_the_best_of_each(report):
    assert report["pareto_front"] == ["UAS", "USA"]


def test_differences_that_are_established_name_a_winner(report):
    assert better(report, "wer") == {"UAS": ["USA", "joint"], "USA": ["joint"], "joint": []}
    assert better(report, "bleu") == {"UAS": ["joint"], "USA": ["UAS", "joint"], "joint": []}


def test_noise_has_no_winner():
    scores = {"A": {1: (5.0, 80.0), 2: (9.0, 70.0)}, "B": {1: (6.0, 75.0), 2: (7.0, 78.0)}}
    report = summarize(make_study(scores), {})
    assert better(report, "wer") == {"A": [], "B": []}
    assert "**None of them is.**" in to_markdown(report, {})


def test_the_text_says_what_it_cannot_say(data):
    one = make_study({name: {1: of[1]} for name, of in SCORES.items()})
    text = to_markdown(summarize(one, {}), {})
    assert "no interval can be given" in text
    assert "With one seed of each, none can be told." in text
    assert "±" not in text.replace("seed by seed", "")
    two = make_study({name: {1: of[1], 2: of[2]} for name, of in SCORES.items()})
    assert "12.7 standard errors" in to_markdown(summarize(two, {}), {})


def test_plateaus_missing_runs_and_costs_are_told(data, report):
    text = to_markdown(report, {})
    assert "**Not on a plateau, with a seed or more: joint.**" in text
    assert "| joint 1 | WER | 30 → 20 | 0.5 → 0.5 |" in text
    assert "| UAS 1 |" not in text
    assert "there is no cost.json" in text
    short = {**data, "runs": data["runs"][1:]}
    assert "Not done yet, or failed: UAS 1." in to_markdown(summarize(short, {}), {})
    costs = {"UAS": {"1": {"cpu_minutes": 10.0}, "2": {"cpu_minutes": 12.0}}}
    assert "| UAS | 11.0 ± 12.7 | – | – |" in to_markdown(summarize(data, costs), {})


def test_single_tasks_are_references_and_stand_by_themselves(data):
    single = make_study({"alone": {1: (4.0, 0.0), 2: (4.0, 0.0)}})["runs"]
    for run in single:
        run["results"] = {"wer": {"fr": 4.0}, "wer_mean": 4.0}
    whole = {
        **data,
        "experiments": [*data["experiments"], "alone"],
        "runs": [*data["runs"], *single],
    }
    whole["reference"] = {"*": "joint", "asr/fr": "alone"}
    report = summarize(whole, {})
    expected = 100 * ((5 - 20) / 20 + (7 - 4) / 4 - (81 - 61) / 61) / 3
    assert report["experiments"]["UAS"]["delta_m"]["mean"] == pytest.approx(expected, abs=1e-3)
    assert report["experiments"]["alone"]["wer"] is None
    assert "Tested on some tasks alone: alone." in to_markdown(report, {})


def test_the_report_is_a_folder_that_needs_no_network(data, tmp_path):
    report_data(data, {}, tmp_path)
    page = (tmp_path / "report.html").read_text()
    text = (tmp_path / "report.md").read_text()
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    names = ["conflict", "curves_bleu", "curves_wer", "lambda", "plane", "scores"]
    assert figures == [f"{name}.png" for name in names]
    assert page.count("data:image/png;base64,") == len(figures)
    assert "http" not in page
    assert all(f"(figures/{name})" in text for name in figures)
    assert json.loads((tmp_path / "report.json").read_text())["pareto_front"] == ["UAS", "USA"]


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": []}', "3"])
def test_a_damaged_study_is_named(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json is damaged"):
        report_file(tmp_path / "study.json", tmp_path / "report")


def test_a_study_without_a_run_has_no_report(data):
    with pytest.raises(ValueError, match="has no run that is done"):
        summarize({**data, "runs": []}, {})
