import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT
from vmsp_brain.run.configuration import check_run_folder as check
from vmsp_brain.run.configuration import save_configuration
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder

YAML = """
seed: 1
number_of_epochs: 3
output_folder: {folder}
sizes:
    width: 8
optimizer: !name:torch.optim.Adam
    lr: !ref <seed>
"""


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    path = tmp_path / "experiment.yaml"
    path.write_text(YAML.format(folder=tmp_path / "run"))
    return str(path)


def check_run_folder(path: str, overrides: str) -> None:
    check(ExperimentFile(path, overrides))


def start_run(tmp_path: Path, experiment: str, overrides: str = "") -> None:
    (tmp_path / "run").mkdir()
    save_configuration(ExperimentFile(experiment, overrides), str(tmp_path / "run"))


def test_a_new_folder_and_the_same_configuration_are_fine(tmp_path, experiment):
    check_run_folder(experiment, "")
    start_run(tmp_path, experiment, "seed: 2")
    check_run_folder(experiment, "seed: 2")


def test_a_run_may_be_made_longer(tmp_path, experiment):
    start_run(tmp_path, experiment)
    check_run_folder(experiment, "number_of_epochs: 5")


def test_a_run_may_be_moved(tmp_path, experiment):
    start_run(tmp_path, experiment)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    check_run_folder(experiment, f"output_folder: {tmp_path / 'elsewhere'}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("seed: 2", r"seed: was 1, is now 2"),
        ("sizes: {width: 16}", r"sizes\[width\]: was 8, is now 16"),
        ("optimizer: !name:torch.optim.SGD", r"optimizer.*Adam"),
    ],
)
def test_another_configuration_is_refused_by_key(tmp_path, experiment, overrides, message):
    start_run(tmp_path, experiment)
    with pytest.raises(ValueError, match=message) as error:
        check_run_folder(experiment, overrides)
    assert str(tmp_path / "run") in str(error.value)
    assert "another --output_folder" in str(error.value)


def test_a_folder_in_a_run_moves_with_it_and_another_stays(tmp_path):
    text = "output_folder: results/run\nsave_folder: results/run/save\nmanifest_folder: shared\n"
    (tmp_path / "hyperparams.yaml").write_text(text)
    assert not RunFolder.is_run(tmp_path)
    (tmp_path / "log.txt").write_text("")
    assert RunFolder.is_run(tmp_path)
    run = RunFolder(tmp_path)
    assert run.path("save_folder") == tmp_path / "save"
    assert run.path("manifest_folder") == Path("shared")


@pytest.mark.slow
def test_a_folder_in_use_is_refused_and_free_again_after_a_kill(tmp_path):
    code = "import sys, time\nfrom vmsp_brain.run.folder import RunFolder\n"
    code += "lock = RunFolder(sys.argv[1]).lock()\nprint('locked', flush=True)\ntime.sleep(60)"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(RuntimeError, match=rf"in use by another run \(process {other.pid} on"):
        RunFolder(tmp_path).lock()
    other.send_signal(signal.SIGKILL)
    other.wait()
    RunFolder(tmp_path).lock().release()


def test_conflicts_are_layers_by_pairs_and_read_as_they_were_written(tmp_path):
    cosines = {
        "front_end": {"asr/en ~ asr/fr": 0.123456, "asr/en ~ st/fr-en": -0.5},
        "block_01": {"asr/en ~ asr/fr": 0.0, "asr/en ~ st/fr-en": 1.0},
    }
    RunFolder(tmp_path).write_conflicts(12, cosines)
    assert (tmp_path / "conflicts" / "epoch_0012.csv").read_text().splitlines() == [
        "layer,asr/en ~ asr/fr,asr/en ~ st/fr-en",
        "front_end,0.123456,-0.500000",
        "block_01,0.000000,1.000000",
    ]
    assert RunFolder(tmp_path).read_conflicts() == {12: cosines}
