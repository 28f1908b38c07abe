"""A model that is pushed to the hub is the model that is loaded from there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import OfflineModeIsEnabled

from export import main as export
from tests.helpers.commands import COMMANDS, ROOT, call
from tests.helpers.corpus import write_clip
from tests.helpers.hub_server import TOKEN, Hub, hub_server
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.use.export import export_run
from vmsp_brain.use.hub import push_model

ROUND = """
import sys
from export import main
from vmsp_brain import SpeechTranslator
run, clip = sys.argv[1:]
main([run, "model", "--push", "ann/model"])
main([run, "again", "--push", "ann/model"])
for source in ("model", "ann/model"):
    print(SpeechTranslator.from_hparams(source, savedir="s_" + source).transcribe_file(clip, "es"))
"""


@pytest.fixture(scope="module")
def pushed(untrained_run: Path, tmp_path_factory) -> tuple[Hub, Path, list[str]]:
    """The hub after a run was pushed to it twice, where it was exported, and what was printed."""
    folder = tmp_path_factory.mktemp("pushed")
    write_clip(folder / "clip.wav")
    with hub_server() as hub:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{COMMANDS}",
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "*",
        }
        words = [sys.executable, "-c", ROUND, str(untrained_run), "clip.wav"]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return hub, folder, done.stdout.splitlines()


@pytest.mark.slow
def test_the_repository_has_the_folders_files(pushed):
    hub, folder, printed = pushed
    files = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    assert {name: hub.repositories["ann/model"][name] for name in files} == files
    assert hub.commits[0] == ("ann/model", {*files})
    assert len(hub.commits) == 2  # it takes a model that it has
    assert f"Pushed to {hub.url}/ann/model" in printed


@pytest.mark.slow
def test_from_the_hub_it_transcribes_as_from_the_folder(pushed):
    *_, here, there = pushed[2]
    assert here == there
    assert here


@pytest.mark.slow
def test_the_hub_is_sent_the_card_that_names_the_repository(pushed):
    hub, folder, _ = pushed
    assert hub.cards[0] == (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert 'from_hparams(source="ann/model")' in hub.cards[0]


def test_the_cards_metadata_is_what_the_hubs_client_reads(untrained_run: Path, tmp_path: Path):
    report = {
        "wer": {"en": 12.345, "es": 50.0},
        "wer_mean": 31.17,
        "wer_of_characters": ["es"],
        "bleu": {"es-en": 7.0},
        "bleu_mean": 7.0,
    }
    run = RunFolder(untrained_run)
    run.scores.write_text(json.dumps(report), encoding="utf-8")
    try:
        export_run(untrained_run, tmp_path / "model")
    finally:
        run.scores.unlink()
    data = ModelCard.load(tmp_path / "model" / "README.md").data
    assert (data.language, data.license, data.license_name) == (
        ["en", "es"],
        "other",
        "of-the-training-data",
    )
    assert (data.library_name, data.pipeline_tag) == ("speechbrain", "automatic-speech-recognition")
    assert data.metrics == ["wer", "bleu"]
    found = [
        (each.task_type, each.dataset_config, each.dataset_split, each.metric_type)
        for each in data.eval_results
    ]
    assert found == [
        ("automatic-speech-recognition", "en", "test", "wer"),
        ("automatic-speech-recognition", "es", "test", "cer"),
        ("translation", "es-en", "test", "bleu"),
    ]
    assert [each.metric_value for each in data.eval_results] == [12.35, 50.0, 7.0]


def test_a_card_of_a_run_that_was_not_tested_claims_no_scores(exported: Path):
    data = ModelCard.load(exported / "README.md").data
    assert data.eval_results is None
    assert data.metrics is None


@pytest.mark.parametrize("name", ["model", "a b/c", "ann/model/more", "ann/model..x", ""])
def test_a_name_that_is_no_repository_is_refused_before_anything_is_exported(
    untrained_run: Path, tmp_path: Path, name: str
):
    done = call(export, untrained_run, tmp_path / "model", "--push", name, check=False)
    assert done.returncode == 1
    assert f"--push: found {name!r}, expected owner/model" in done.stderr
    assert not (tmp_path / "model").exists()


def test_a_hub_that_does_not_take_it_leaves_the_folder_and_says_what_to_do(
    untrained_run: Path, tmp_path: Path, monkeypatch
):
    def refuse(*_arguments, **_options) -> None:
        raise OfflineModeIsEnabled("no way to it")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    done = call(export, untrained_run, tmp_path / "m", "--push=ann/model", check=False)
    assert done.returncode == 1
    assert "no way to it" in done.stderr
    assert f"`hf upload ann/model {tmp_path / 'm'}` tries again" in done.stderr
    assert (tmp_path / "m" / "encoder.ckpt").exists()


def test_who_is_not_logged_in_is_told_so(exported: Path, monkeypatch):
    with hub_server() as hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(
            "vmsp_brain.use.hub.HfApi", lambda: HfApi(endpoint=hub.url, token="hf_wrong")
        )
        with pytest.raises(ConnectionError, match=r"(?s)401.*hf auth login"):
            push_model(exported, "ann/model")
    assert hub.repositories == {}
