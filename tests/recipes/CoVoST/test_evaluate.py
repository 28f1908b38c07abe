import csv
import json
import shutil
from pathlib import Path

import pytest

from evaluate import main
from tests.helpers.commands import call
from vmsp_brain.use.export import export_run

pytestmark = pytest.mark.slow


def evaluate(*arguments, check: bool = True):
    return call(main, *arguments, check=check)


def test_a_run_tested_again_has_the_same_results(uas_run, tmp_path: Path):
    again = shutil.copytree(uas_run[0], tmp_path / "again")
    (again / "results.json").unlink()
    shutil.rmtree(again / "test")
    evaluate(again)
    for name in ("results.json", "test/asr_it.tsv", "test/st_es-en.tsv"):
        assert (again / name).read_text() == (uas_run[0] / name).read_text(), name


def test_every_speaker_is_scored(uas_run, tmp_path: Path):
    evaluate(uas_run[0], "--split=dev", "--output", tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    with (tmp_path / "speakers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for language in ("en", "es", "it"):
        own = [row for row in rows if row["objective"] == f"asr/{language}"]
        assert sum(int(row["utterances"]) for row in own) == 3
        scores = [float(row["score"]) for row in own]
        assert min(scores) <= results["wer"][language] <= max(scores)
        assert scores == sorted(scores, reverse=True)


def test_a_manifest_and_an_exported_model(uas_run, mini_covost: Path, tmp_path: Path):
    export_run(uas_run[0], tmp_path / "model")
    manifest = uas_run[0] / "manifests" / "es_test.csv"
    evaluate(
        tmp_path / "model", "--manifest", manifest, "--data_folder", mini_covost,
        "--output", tmp_path / "out",
    )  # fmt: skip
    found = (tmp_path / "out" / "test" / "asr_es.tsv").read_text()
    assert found == (uas_run[0] / "test" / "asr_es.tsv").read_text()
    assert set(json.loads((tmp_path / "out" / "results.json").read_text())["wer"]) == {"es"}


def test_beam_and_ctc_weight_are_options(uas_run, tmp_path: Path):
    searched = {}
    for options in ((), ("--beam_size=1",), ("--ctc_weight=1.0",)):
        out = tmp_path / "_".join(options or ["own"])
        evaluate(uas_run[0], *options, "--output", out)
        searched[options] = (out / "test" / "asr_en.tsv").read_text()
    assert len(set(searched.values())) == 3, "the options change what an untrained model says"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split=dev"], "--output: expected a folder"),
        (["--beam_size=9"], "--output: expected a folder"),
        (["--ctc_weight=1.5", "--output=OUT"], "ctc_weight_decode: found 1.5, expected a share"),
        (["--average=9", "--output=OUT"], "holds 2 checkpoints, expected 9"),
        (["--manifest=MODEL/none.csv", "--output=OUT"], "none.csv"),
    ],
)
def test_wrong_options_stop_with_a_message(uas_run, tmp_path: Path, options, message):
    before = (uas_run[0] / "results.json").read_text()
    options = [option.replace("OUT", str(tmp_path / "out")) for option in options]
    done = evaluate(uas_run[0], *options, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
    assert (uas_run[0] / "results.json").read_text() == before


@pytest.mark.parametrize(
    "option", ["--batch_size=0", "--beam_size=0", "--average=-1", "--num_workers=-1"]
)
def test_numbers_that_make_no_sense_are_refused(option):
    name, _, value = option.partition("=")
    done = evaluate("any", option, check=False)
    assert done.returncode == 2
    assert f"argument {name}: found '{value}', expected a whole number of at least" in done.stderr


def test_a_language_that_the_model_does_not_know_is_refused(uas_run, mini_covost, tmp_path: Path):
    manifest = tmp_path / "fr.csv"
    text = (uas_run[0] / "manifests" / "es_test.csv").read_text()
    manifest.write_text(text.replace(",es,", ",fr,"))
    arguments = (uas_run[0], "--manifest", manifest, "--output", tmp_path / "out")
    done = evaluate(*arguments, check=False)
    assert "--data_folder: expected a folder" in done.stderr
    done = evaluate(*arguments, "--data_folder", mini_covost, check=False)
    assert done.returncode == 1
    assert "found 'fr' in the manifest, expected one of en, es, it" in done.stderr
