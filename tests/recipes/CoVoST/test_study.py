"""The command: several runs, killed and gone on with; one that fails; the report alone."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from study import main
from tests.helpers.commands import ROOT, call
from tests.helpers.made_studies import make_study
from tests.helpers.running import Running
from vmsp_brain.run.study_record import study_text

STUDY = f"""
base: {ROOT}/hparams/mini.yaml
seeds: [1]
common:
    data_folder: DATA
    manifest_folder: MANIFESTS
    languages: [en, fr]
    pairs: [fr-en]
    asr_vocab_size: 40
    st_vocab_size: 40
    d_model: 16
    d_ffn: 32
    conformer: {{num_layers: 1, d_ffn: 32, front_end_channels: 4}}
    number_of_epochs: 2
    test_search: {{beam_size: 2, max_decode_ratio: 0.3}}
    valid_search: {{max_decode_ratio: 0.3}}
experiments:
    UAS:
    joint: {{file: joint.yaml}}
reference: joint
"""


@pytest.fixture(scope="module")
def study_file(mini_covost: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    text = STUDY.replace("DATA", str(mini_covost)).replace("MANIFESTS", str(folder / "manifests"))
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def started(study_file: Path, folder: Path) -> Running:
    """The command in a folder of its own, so that what it writes names no other."""
    folder.mkdir(exist_ok=True)
    script = str(ROOT / "recipes" / "CoVoST" / "study.py")
    words = [sys.executable, script, str(study_file), "--output", "out", "--jobs", "2"]
    return Running(words, folder / "printed.txt", cwd=folder)


def logged(folder: Path, experiment: str, epoch: int):
    log = folder / "out" / experiment / "1" / "train_log.txt"
    return lambda: log.exists() and f"epoch: {epoch}," in log.read_text()


@pytest.mark.slow
def test_a_study_that_is_killed_twice_ends_with_the_same_bytes(study_file, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert started(study_file, whole).end() == 0, (whole / "printed.txt").read_text()

    running = started(study_file, killed).when(logged(killed, "UAS", 1))
    os.kill(running.main.pid, signal.SIGKILL)  # its runs save and end, while the next one waits
    running.main.wait()
    running = started(study_file, killed).when(logged(killed, "UAS", 2))
    running.signal_all(signal.SIGKILL)
    assert started(study_file, killed).end() == 0, (killed / "printed.txt").read_text()

    first, second = ((folder / "out" / "study.json").read_bytes() for folder in (whole, killed))
    assert first == second
    data = json.loads((whole / "out" / "study.json").read_text())
    assert [run["experiment"] for run in data["runs"]] == ["UAS", "joint"]
    assert all("--output_folder=out/" in run["command"] for run in data["runs"])
    assert not any(Path(run["command"].split()[2]).is_absolute() for run in data["runs"])
    assert not list((whole / "out").glob("*/1/save/CKPT*")), "checkpoints have served"
    assert "Stopped by SIGTERM" in (killed / "out" / "UAS" / "1.txt").read_text()


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_go_on(study_file, tmp_path, monkeypatch):
    text = study_file.read_text().replace(
        "joint: {file", "bad: {data_folder: nowhere}\n    joint: {file"
    )
    text = text.replace("number_of_epochs: 2", "number_of_epochs: 1")
    own = tmp_path / "study.yaml"
    own.write_text(text.replace("manifests", "manifests_of_one_epoch"))
    running = started(own, tmp_path)
    assert running.end() == 1
    said = (tmp_path / "printed.txt").read_text()
    assert "1 of 3 runs failed:\n  bad 1: exit code 1: data_folder: nowhere is not a folder" in said
    assert "the same command: it goes on with these alone." in said
    assert "Not done yet, or failed: bad 1." in said
    data = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [run["experiment"] for run in data["runs"]] == ["UAS", "joint"]

    own.write_text(own.read_text().replace("number_of_epochs: 1", "number_of_epochs: 2"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out/UAS/1 was run with other options than the study has"):
        main([str(own), "--output", "out"])


def test_the_report_is_made_of_the_data_alone(tmp_path):
    scores = {"UAS": {1: (5.0, 80.0), 2: (6.0, 82.0)}, "joint": {1: (9.0, 60.0), 2: (8.0, 62.0)}}
    data = make_study(scores, {"*": "joint"})
    head = {key: data[key] for key in ("experiments", "seeds", "reference")}
    (tmp_path / "study.json").write_text(study_text(head, data["runs"]))
    done = call(main, "--report", tmp_path / "study.json", "--output", tmp_path / "report")
    assert "| UAS | 2 | 5.50 ± 6.35 |" in done.stdout
    assert (tmp_path / "report" / "report.html").exists()


def test_jobs_are_one_or_more(tmp_path):
    done = call(main, "study.yaml", "--output", tmp_path, "--jobs", 0, check=False)
    assert done.returncode == 2
    assert "--jobs: found 0, expected 1 or more." in done.stderr
