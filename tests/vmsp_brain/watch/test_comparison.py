from pathlib import Path

import jiwer
import pytest

from tests.helpers.recorded_runs import make_uas_and_usa
from vmsp_brain.run.record import RecordedRun, read_run
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.watch.comparison import compare_runs, names_of
from vmsp_brain.watch.significance import SAMPLES, compare


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RecordedRun]:
    folder = tmp_path_factory.mktemp("runs")
    return {path.name: read_run(path) for path in make_uas_and_usa(folder)}


@pytest.fixture(scope="module")
def report(runs) -> dict:
    return compare_runs(runs)


def test_scores_are_those_that_each_run_reported(runs, report):
    for name, run in runs.items():
        for key in ("wer", "bleu", "wer_mean", "bleu_mean"):
            assert report["runs"][name][key] == run.report[key]
    heard = runs["usa"].hypotheses["asr/en"]
    wer = 100 * jiwer.wer([h.reference for h in heard], [h.hypothesis for h in heard])
    assert report["runs"]["usa"]["wer"]["en"] == round(wer, 2)


def test_differences_are_to_the_first_run_and_tested(runs, report):
    made = {name: {"fr-en": run.hypotheses["st/fr-en"]} for name, run in runs.items()}
    expected = compare(made, "bleu", "uas")["fr-en"]["usa"]
    found = report["differences"]["bleu"]["fr-en"]["usa"]
    assert found["p_value"] == round(expected.p_value, 4)
    scores = [report["runs"][name]["bleu"]["fr-en"] for name in runs]
    assert found["difference"] == round(scores[1] - scores[0], 2)
    assert set(report["differences"]["wer"]) == {"en", "fr", "mean"}
    assert (report["baseline"], report["resamples"]) == ("uas", SAMPLES)


def test_the_best_run_of_each_purpose_is_tested_against_all_others(runs, report):
    assert report["best"]["wer"]["run"] == "uas"
    assert report["best"]["wer"]["others"]["usa"]["difference"] > 0
    assert report["best"]["wer"]["others"]["usa"]["p_value"] < 0.05
    swapped = compare_runs({name: runs[name] for name in ("usa", "uas")})
    assert swapped["baseline"] == "usa"
    assert swapped["best"] == report["best"]


def test_cost_is_summed_over_epochs_and_unknown_where_not_recorded(report):
    uas, usa = report["runs"].values()
    assert (uas["minutes"], uas["cpu_minutes"], uas["memory_gib"]) == (3.0, 6.0, 1.5)
    assert (usa["minutes"], usa["cpu_minutes"], usa["memory_gib"]) == (None, None, None)
    assert (uas["order"], uas["epochs"]) == ("UAS", 2)


def test_conflicts_are_shares_by_epoch_and_means_of_the_last(report):
    uas = report["runs"]["uas"]
    of_epoch = {"agree": 0.333, "undecided": 0.5, "conflict": 0.167}
    assert uas["verdicts"] == {1: of_epoch, 2: of_epoch}
    assert {verdict: uas[f"{verdict}_mean"] for verdict in of_epoch} == of_epoch
    assert uas["similarity_by_tasks"] == {"asr-asr": 0.3, "asr-st": -0.05}


def test_equal_runs_have_no_p_value(runs):
    found = compare_runs({"uas": runs["uas"], "copy": runs["uas"]})
    assert found["differences"]["wer"]["mean"]["copy"] == {"difference": 0.0, "p_value": None}


def test_the_order_of_the_utterances_does_not_matter(runs, report):
    usa = runs["usa"]
    shuffled = {name: made[::-1] for name, made in usa.hypotheses.items()}
    other = RecordedRun(usa.folder, usa.order, usa.report, shuffled, usa.curves, usa.conflicts)
    assert compare_runs({"uas": runs["uas"], "usa": other}) == report


def changed(run: RecordedRun, objective: str, made: list[Hypothesis]) -> RecordedRun:
    hypotheses = {**run.hypotheses, objective: made}
    return RecordedRun(run.folder, run.order, run.report, hypotheses, run.curves, run.conflicts)


def test_other_utterances_are_refused_by_id(runs):
    made = runs["usa"].hypotheses["asr/fr"]
    other = changed(runs["usa"], "asr/fr", [*made[1:], Hypothesis("new", "a", "a")])
    with pytest.raises(ValueError, match="not tested on the same utterances") as error:
        compare_runs({"uas": runs["uas"], "usa": other})
    assert "asr/fr utterance_0: only in uas" in str(error.value)
    assert "asr/fr new: only in usa" in str(error.value)
    assert "utterance_1:" not in str(error.value)


def test_another_reference_is_refused(runs):
    made = runs["usa"].hypotheses["asr/fr"]
    first = Hypothesis(made[0].id, "something else", "a")
    with pytest.raises(ValueError, match=r"utterance_0: the reference is .* 'something else' in"):
        compare_runs(
            {"uas": runs["uas"], "usa": changed(runs["usa"], "asr/fr", [first, *made[1:]])}
        )


def test_another_set_of_languages_is_refused_and_a_long_list_is_cut(runs):
    other = changed(runs["usa"], "asr/de", runs["usa"].hypotheses["asr/fr"])
    with pytest.raises(ValueError, match="asr/de utterance_0: only in usa") as error:
        compare_runs({"uas": runs["uas"], "usa": other})
    assert "and 80 more" in str(error.value)


def test_one_run_is_no_comparison(runs):
    with pytest.raises(ValueError, match="Found 1 run, expected two or more"):
        compare_runs({"uas": runs["uas"]})


def test_names_are_short_but_different():
    assert names_of(["a/uas", "b/usa/"]) == {"uas": Path("a/uas"), "usa": Path("b/usa")}
    assert list(names_of(["a/uas", "b/uas"])) == ["a/uas", "b/uas"]
