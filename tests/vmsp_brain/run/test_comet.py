"""COMET is another program: what it is given, what is made of its answer, where it is missing."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT
from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from vmsp_brain.run.comet import add_comet, check_comet, comet_scores
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.use.evaluation import ModelTest

STAND_IN = """#!{python}
import argparse, json
parser = argparse.ArgumentParser()
for option in ("-s", "-t", "-r", "--model", "--gpus", "--to_json"):
    parser.add_argument(option, required=True)
for flag in ("--quiet", "--only_system"):
    parser.add_argument(flag, action="store_true")
given = parser.parse_args()
assert given.model.endswith("checkpoints/model.ckpt") and given.gpus == "0"
columns = [open(file, encoding="utf-8").read().splitlines() for file in (given.s, given.t, given.r)]
assert len({{len(column) for column in columns}}) == 1
rows = [dict(zip(("src", "mt", "ref"), row)) for row in zip(*columns)]
for row in rows:
    row["COMET"] = (len(row["src"]) + 10 * len(row["mt"]) + 100 * len(row["ref"])) / 1000
json.dump({{given.t: rows}}, open(given.to_json, "w"))
"""
"""Of comet-score of unbabel-comet 2.2.7: its options, and what it writes, with a score to count."""


@pytest.fixture
def comet(tmp_path: Path, monkeypatch) -> Path:
    """A checkpoint and a command."""
    checkpoint = tmp_path / "comet" / "checkpoints" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    (tmp_path / "comet" / "hparams.yaml").touch()
    install(tmp_path / "bin", STAND_IN.format(python=sys.executable), monkeypatch)
    return checkpoint


def install(folder: Path, text: str, monkeypatch) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "comet-score").write_text(text, encoding="utf-8")
    (folder / "comet-score").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


MADE = {
    "asr/fr": [Hypothesis("1", "un", "un")],
    "st/fr-en": [Hypothesis("1", "one", "on"), Hypothesis("2", "two\u2028x", "")],
    "st/de-en": [Hypothesis("3", "three", "the\ttree")],
}
SOURCES = {"1": "un", "2": "deux", "3": "drei"}


@pytest.mark.slow
def test_each_pair_has_the_mean_of_its_own_utterances(comet):
    found = comet_scores(MADE, SOURCES, str(comet))
    first, second, third = 2 + 20 + 300, 4 + 0 + 500, 4 + 80 + 500
    assert found["comet"] == {"fr-en": (first + second) / 20, "de-en": third / 10}
    assert found["comet_mean"] == pytest.approx(sum(found["comet"].values()) / 2, abs=0.01)
    assert found["comet_model"] == str(comet)


def test_without_transcriptions_there_is_no_score(comet):
    with pytest.raises(ValueError, match="comet_model: 1 of 2 utterances of fr-en have no transcr"):
        comet_scores(MADE, {"1": "un", "2": " ", "3": "drei"}, str(comet))


def test_nothing_translated_is_nothing_scored(comet):
    assert comet_scores({"asr/fr": MADE["asr/fr"]}, SOURCES, str(comet)) == {}


@pytest.mark.slow
def test_what_the_command_says_when_it_fails_is_said(comet, tmp_path, monkeypatch):
    install(tmp_path / "bin", "#!/bin/sh\necho no such encoder >&2\nexit 3\n", monkeypatch)
    with pytest.raises(ValueError, match="comet_model: comet-score ended with 3:\nno such encoder"):
        comet_scores(MADE, SOURCES, str(comet))


def test_what_is_missing_is_named_before_anything_is_done(comet, tmp_path, monkeypatch):
    check_comet(None)
    check_comet(str(comet))
    words = [str(ROOT / "hparams" / "uas.yaml"), "--data_folder=x", f"--comet_model={comet}"]
    open_experiment(words)
    monkeypatch.setenv("PATH", str(tmp_path))
    for refuse in (lambda: check_comet(str(comet)), lambda: open_experiment(words)):
        with pytest.raises(ValueError, match=r"comet_model: found .*pipx install unbabel-comet"):
            refuse()
    (tmp_path / "comet" / "hparams.yaml").unlink()
    for refuse in (lambda: check_comet(str(comet)), lambda: open_experiment(words)):
        with pytest.raises(ValueError, match=r"comet_model: found .*expected a checkpoint of a CO"):
            refuse()


@pytest.mark.slow
def test_a_run_is_scored_the_same_by_its_own_test_and_by_evaluate(comet, tmp_path):
    write_manifests(tmp_path / "manifests", ["en", "es"])
    options = ("--languages=[en, es]", "--pairs=[es-en]")
    make_untrained_run(tmp_path / "run", tmp_path / "manifests", *options)
    run = RunFolder(tmp_path / "run")
    report = ModelTest(str(run.folder)).run()
    hparams = ExperimentFile(str(run.configuration), {}).load()
    add_comet(run, hparams, "cpu")
    assert run.read_report() == report, "nobody asked for it"
    add_comet(run, hparams | {"comet_model": str(comet)}, "cpu")
    scored = run.read_report()
    assert scored | report == scored
    assert set(scored) - set(report) == {"comet", "comet_mean", "comet_model"}
    again = ModelTest(str(run.folder), output=tmp_path / "out", comet_model=str(comet)).run()
    assert again == scored == json.loads((tmp_path / "out" / "results.json").read_text())
