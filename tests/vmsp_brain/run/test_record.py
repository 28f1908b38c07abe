from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from vmsp_brain.method.conflict import Similarity
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.record import read_run
from vmsp_brain.run.scores import Hypothesis, results

MADE = {
    "asr/fr": [Hypothesis("x1", "il pleut", ""), Hypothesis("x2", "bonjour", "bonjour")],
    "st/fr-zh-CN": [Hypothesis("x1", "It is raining.", "Rain\u2028falls.")],
}
CONFLICTS = {"a": {"asr/fr ~ ssl": Similarity(-0.5, 0.125, "conflict")}}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        for epoch, value in enumerate([90.0, 40.0], start=1):
            writer.add_scalar("01_WER_valid/fr", value, epoch)
    RunFolder(tmp_path).write_results(results(MADE), MADE)
    RunFolder(tmp_path).write_conflicts(12, CONFLICTS, {})
    (tmp_path / "hyperparams.yaml").write_text("order: USA\nmodel: !new:os.system [exit]\n")
    return tmp_path


def test_a_run_is_read_as_it_was_written(run_folder: Path):
    run = read_run(run_folder)
    assert run.order == "USA"
    assert run.report == results(MADE)
    assert run.hypotheses == MADE
    assert run.conflicts == {12: CONFLICTS}
    assert run.curves == {"WER_valid/fr": [(1, 90.0), (2, 40.0)]}


def test_a_resumed_run_overwrites_what_it_repeats(run_folder: Path):
    with SummaryWriter(str(run_folder / "tensorboard"), filename_suffix=".later") as writer:
        writer.add_scalar("01_WER_valid/fr", 25.0, 2)
    assert RunFolder(run_folder).read_curves() == {"WER_valid/fr": [(1, 90.0), (2, 25.0)]}


def test_what_is_missing_is_named(tmp_path: Path, run_folder: Path):
    with pytest.raises(FileNotFoundError, match="no such run folder"):
        read_run(tmp_path / "nowhere")
    (run_folder / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"results.json is missing: was the run tested"):
        read_run(run_folder)


def test_a_folder_without_events_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        RunFolder(tmp_path).read_curves()


def test_a_damaged_line_of_hypotheses_is_named(run_folder: Path):
    path = run_folder / "test" / "asr_fr.tsv"
    path.write_text(path.read_text().replace("bonjour\tbonjour", "bonjour"))
    with pytest.raises(ValueError, match=r"asr_fr.tsv, line 3: found 2 columns"):
        read_run(run_folder)
