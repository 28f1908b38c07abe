import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder, lock_run_folder, save_configuration
from vmsp_brain.run.folder import check_run_folder as check

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


def test_a_folder_in_use_is_refused_and_free_again_after_a_kill(tmp_path):
    code = "import sys, time\nfrom run_folder import lock_run_folder\n"
    code += "lock = lock_run_folder(sys.argv[1])\nprint('locked', flush=True)\ntime.sleep(60)"
    recipe = str(Path(lock_run_folder.__code__.co_filename).parent)
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": recipe},
    )
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(RuntimeError, match=rf"in use by another run \(process {other.pid} on"):
        lock_run_folder(str(tmp_path))
    other.send_signal(signal.SIGKILL)
    other.wait()
    lock_run_folder(str(tmp_path)).close()
