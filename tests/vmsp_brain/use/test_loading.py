"""Which model is meant is said before anything is asked or read; a damaged one is named."""

import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from vmsp_brain.use import loading
from vmsp_brain.use.export import export_run
from vmsp_brain.use.loading import check_model, load_model


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported model, to be damaged."""
    return shutil.copytree(exported, tmp_path / "model")


def test_a_run_and_its_model_are_found(untrained_run, exported):
    for source in (untrained_run, exported):
        assert load_model(str(source)).languages == ["en", "es"]


@pytest.mark.parametrize("name", ["nowhere", "/nowhere/at/all", "../x", "results/x", "a/b/c", ""])
def test_what_is_no_folder_and_no_name_on_the_hub_is_said_without_asking(
    name, tmp_path, monkeypatch
):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    for asks in ("hf_hub_download", "HfApi"):
        monkeypatch.setattr(loading, asks, lambda *_: pytest.fail("a hub was asked"))
    with pytest.raises(FileNotFoundError, match=r"no such run or model|neither a run nor"):
        check_model(name)


def test_the_hub_is_asked_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []

    def model_info(self, name, timeout):
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    with pytest.raises(FileNotFoundError, match=r"owner/model: .* hub can be reached \(no network"):
        load_model("owner/model")
    assert asked == ["owner/model"]


def test_a_folder_of_something_else_is_no_model(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"holds no hyperparams\.yaml"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("encoder.ckpt", None, "encoder.ckpt is missing"),
        ("asr_en.ckpt", None, "asr_en.ckpt is missing"),
        ("encoder.ckpt", b"", "encoder.ckpt is damaged"),
        ("objectives.ckpt", b"not a checkpoint", "objectives.ckpt is damaged"),
        ("objectives.ckpt", 5000, "objectives.ckpt is damaged"),
        ("st_joint.ckpt", b"not a vocabulary", "st_joint.ckpt is damaged"),
        ("hyperparams.yaml", b"", "hyperparams.yaml is damaged"),
        ("hyperparams.yaml", 900, "hyperparams.yaml is damaged"),
    ],
)
def test_a_models_missing_or_damaged_file_is_named(model: Path, name, content, message):
    path = model / name
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else whole[:content])
    with pytest.raises(ValueError, match=rf"{model} cannot be loaded: {message}\."):
        load_model(str(model))


@pytest.mark.parametrize("damaged", ["encoder.ckpt", "asr_es.model"])
def test_a_runs_damaged_file_is_named(untrained_run: Path, tmp_path: Path, damaged):
    run = shutil.copytree(untrained_run, tmp_path / "run")
    [path] = run.rglob(damaged)
    path.write_bytes(b"not what it was")
    message = rf"{re.escape(str(path))} (cannot be read|is not a SentencePiece model)"
    with pytest.raises(ValueError, match=message):
        load_model(str(run))


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        (
            "beam_sise: 5",
            [
                ": there is no beam_sise in it. Is beam_size meant?",
                "[beam_size]: found nothing, expected a whole number from 1 to 16384, such as 1.",
            ],
        ),
        ("beam_size: many", ["[beam_size]: found many, expected a whole number from 1 to 16384,"]),
    ],
)
def test_a_search_that_cannot_be_done_is_named(untrained_run, model, tmp_path, line, messages):
    """Before anything is decoded, in a run's configuration as in an exported model's."""
    run = shutil.copytree(untrained_run, tmp_path / "run")
    for folder, key in ((run, "test_search"), (model, "search")):
        path = folder / "hyperparams.yaml"
        head, found, rest = path.read_text().rpartition(f"\n{key}:")
        assert found
        path.write_text(f"{head}{found}{re.sub('beam_size: .*', line, rest, count=1)}")
        with pytest.raises(ValueError, match=re.escape(f"{path}, {key}")) as error:
            load_model(str(folder))
        lines = str(error.value).splitlines()
        for told, message in zip(lines, messages, strict=True):
            assert told.startswith(f"{path}, {key}{message}")


def test_a_model_is_made_of_a_run_alone(exported: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"model is not a run's output_folder"):
        export_run(exported, tmp_path / "again")
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a run's output_folder"):
        export_run(tmp_path / "nowhere", tmp_path / "again")
    assert not list(tmp_path.iterdir())


def test_an_unknown_device_is_refused(exported: Path):
    with pytest.raises(ValueError, match=r"device: found 'gpu', expected one of this machine"):
        load_model(str(exported), device="gpu")
