"""The README's figures are of runs whose data is in the repository."""

import json

import pytest

from tests.helpers.commands import ROOT
from vmsp_brain.watch.seeds import paired_difference
from vmsp_brain.watch.study import summarize
from vmsp_brain.watch.study_report import results_table

README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = ROOT / "recipes" / "CoVoST"
STUDY = json.loads((RECIPES / "study.json").read_text(encoding="utf-8"))
ABLATION = json.loads((RECIPES / "ablation.json").read_text(encoding="utf-8"))
CONFIRMATION = json.loads((RECIPES / "confirmation.json").read_text(encoding="utf-8"))


def of_seeds(experiment: str, *studies: dict) -> dict[int, dict]:
    """An experiment's results in these studies."""
    runs = [run for study in studies for run in study["runs"] if run["experiment"] == experiment]
    return {run["seed"]: run["results"] for run in runs}


UAS, UAS_ELSEWHERE = of_seeds("UAS", STUDY), of_seeds("UAS", ABLATION, CONFIRMATION)


def test_the_table_is_of_the_first_seed():
    results = UAS[1234]
    wer = [results["wer"][language] for language in ("en", "fr", "de", "es", "ca")]
    bleu = [results["bleu"][f"{language}-en"] for language in ("fr", "de", "es", "ca")]
    assert f"{_cells(wer)} | **{results['wer_mean']:.2f}** |" in README
    assert f"| | {_cells(bleu)} | **{results['bleu_mean']:.2f}** |" in README


def test_the_readme_says_how_far_they_vary():
    assert (len(UAS), len(UAS_ELSEWHERE)) == (3, 5)
    for results in [*UAS.values(), *UAS_ELSEWHERE.values()]:
        assert f"{results['wer_mean']:.2f} / {results['bleu_mean']:.2f}" in " ".join(README.split())


def test_the_table_of_recipes_is_the_reports():
    recipe = (RECIPES / "README.md").read_text(encoding="utf-8")
    assert results_table(summarize(STUDY, {})) in recipe


def test_the_table_of_options_is_the_reports():
    choosing = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    assert results_table(summarize(ABLATION, {})) in choosing


@pytest.mark.parametrize(
    "experiment, measure", [("inner_CTC", "wer"), ("together", "wer"), ("together", "bleu")]
)
def test_the_gains_are_those_of_five_seeds(experiment, measure):
    first, second = (
        {seed: results[f"{measure}_mean"] for seed, results in found.items()}
        for found in (of_seeds(name, ABLATION, CONFIRMATION) for name in (experiment, "UAS"))
    )
    gain = paired_difference(first, second)
    assert gain.seeds == 5
    shown = f"{abs(gain.mean):.2f} ± {gain.half_width:.2f}"
    choosing = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    assert shown in " ".join(README.split())
    assert shown in " ".join(choosing.split())


def _cells(scores: list[float]) -> str:
    return " | ".join(f"{score:.2f}" for score in scores)
