"""A run becomes a folder that works elsewhere, and nothing of this machine is in it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from evaluate import main as evaluate
from export import main
from tests.helpers.commands import COMMANDS, call, run_script
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.use.export import export_run
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.model_card import model_card

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(uas_run, tmp_path_factory) -> Path:
    """An exported run, moved."""
    folder = tmp_path_factory.mktemp("export")
    call(main, uas_run[0], folder / "model")
    return (folder / "model").rename(folder / "moved")


def test_the_folder_is_whole_and_names_no_other(model: Path, uas_run):
    tokenizers = {"asr_en.ckpt", "asr_es.ckpt", "asr_it.ckpt", "st_joint.ckpt"}
    expected = {"encoder.ckpt", "objectives.ckpt", "hyperparams.yaml", "README.md", *tokenizers}
    assert {path.name for path in model.iterdir()} == expected
    for name in ("hyperparams.yaml", "README.md"):
        text = (model / name).read_text()
        assert str(uas_run[0].parent) not in text
        assert not [word for word in text.split() if word.startswith("/")]


def test_elsewhere_and_offline_it_transcribes_as_the_evaluation_did(
    model: Path, uas_run, mini_covost: Path, tmp_path: Path
):
    call(evaluate, uas_run[0], "--batch_size=1", "--output", tmp_path / "evaluated")
    for language, pair in (("es", "es-en"), ("it", "it-en")):
        clips = sorted((mini_covost / language / "clips").glob("*_test_*"))
        done = run_script(
            COMMANDS / "transcribe.py", *clips, f"--language={language}", "--translate=en",
            "--json", f"--model={model}", cwd=tmp_path,
        )  # fmt: skip
        found = {Path(item["file"]).stem: item for item in json.loads(done.stdout)}
        assert len(found) == 3
        files = {"transcription": f"asr_{language}", "translation": f"st_{pair}"}
        for key, name in files.items():
            table = (tmp_path / "evaluated" / "test" / f"{name}.tsv").read_text().split("\n")
            for line in table[1:-1]:
                clip, _, hypothesis = line.split("\t")
                assert found[clip.removeprefix(f"{language}_")][key] == hypothesis


def test_the_card_has_the_measured_results_and_the_licences(model: Path, uas_run):
    results = json.loads((uas_run[0] / "results.json").read_text())
    card = (model / "README.md").read_text()
    for score in (*results["wer"].values(), results["bleu_mean"]):
        assert f" {score:.2f} |" in card
    assert results["bleu_signature"] in card
    assert "license: mit" in card  # the corpus is mini-CoVoST
    run = RunFolder(uas_run[0])
    run.settings["data_folder"] = "elsewhere"
    checkpoints = Checkpointer(run.path("save_folder")).find_checkpoints()
    assert "license: cc-by-nc-4.0" in model_card(run, checkpoints)


def test_averaging_takes_the_mean_of_the_last_epochs(uas_run, tmp_path: Path):
    export_run(uas_run[0], tmp_path / "mean", average=2)
    folders = sorted((uas_run[0] / "save").glob("CKPT*"))
    assert len(folders) == 2
    for name in ("encoder", "objectives"):
        found = torch.load(tmp_path / "mean" / f"{name}.ckpt")
        first, second = (torch.load(folder / f"{name}.ckpt") for folder in folders)
        assert any(not torch.equal(first[key], second[key]) for key in found)
        for key, value in found.items():
            torch.testing.assert_close(value, (first[key] + second[key]) / 2, msg=key)
    assert "Not measured" in (tmp_path / "mean" / "README.md").read_text()


def test_too_few_checkpoints_to_average_are_named(uas_run, tmp_path: Path):
    done = call(main, uas_run[0], tmp_path / "x", "--average=5", check=False)
    assert done.returncode == 1
    assert "holds 2 checkpoints, expected 5" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept_and_a_killed_exports_rest_is_not(uas_run, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="mine exists"):
        export_run(uas_run[0], tmp_path / "mine")
    (tmp_path / "model.partial").mkdir()
    (tmp_path / "model.partial" / "half.ckpt").write_text("half")
    export_run(uas_run[0], tmp_path / "model")
    assert not (tmp_path / "model" / "half.ckpt").exists()


def test_a_run_that_was_moved_is_exported_from_where_it_is(uas_run, model, tmp_path: Path):
    moved = shutil.copytree(uas_run[0], tmp_path / "moved")
    shutil.rmtree(moved / "manifests")
    export_run(moved, tmp_path / "model")
    both = tmp_path / "model", model
    weights, other_weights = ((folder / "encoder.ckpt").read_bytes() for folder in both)
    assert weights == other_weights
    lines = [(folder / "hyperparams.yaml").read_text().splitlines() for folder in both]
    different = [pair for pair in zip(*lines, strict=True) if len(set(pair)) > 1]
    [(unknown, longest)] = different  # what manifests alone tell
    assert unknown == "max_duration: 20.0"
    assert re.fullmatch(r"max_duration: [0-3]\.\d+", longest)


@pytest.mark.parametrize("setting", ["n_mels: /models/x", "source: models/x"])
def test_a_path_of_this_machine_in_the_configuration_is_refused(
    uas_run, tmp_path: Path, monkeypatch, setting
):
    run = shutil.copytree(uas_run[0], tmp_path / "run")
    (tmp_path / "models" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    path = run / "hyperparams.yaml"
    path.write_text(path.read_text().replace("n_mels: 40", setting))
    with pytest.raises(ValueError, match=r"models/x is a path of this machine"):
        export_run(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_exported_model_has_nothing_to_average(model: Path):
    with pytest.raises(ValueError, match="is not a run"):
        load_model(str(model), average=2)
