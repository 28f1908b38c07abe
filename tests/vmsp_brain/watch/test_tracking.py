"""W&B and MLflow get what TensorBoard gets, and a run that goes on is one run there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from speechbrain.utils.train_logger import FileTrainLogger, TensorboardLogger

from tests.helpers.commands import ROOT
from tests.helpers.wandb_file import read_records
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.options import keys
from vmsp_brain.run.options.checks import check_experiment
from vmsp_brain.watch.monitor import Monitor
from vmsp_brain.watch.tracking import open_trackers

if TYPE_CHECKING:  # it takes seconds, which only the process of these tests has to spend
    import mlflow

SETTINGS = {"order": "UAS", "gamma": 0.01, "seed": 5}


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> "mlflow.MlflowClient":
    """Of MLflow, in files here."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "soups")
    return MlflowClient()


def the_run(store: "mlflow.MlflowClient") -> "mlflow.entities.Run":
    experiment = store.get_experiment_by_name("soups")
    [found] = store.search_runs([experiment.experiment_id])
    return found


def write(monitor: Monitor, epochs: range) -> None:
    """What epochs show."""
    for epoch in epochs:
        monitor.write_lambdas({"asr/fr": 0.25 / epoch, "ssl": 0.75}, 100 * epoch + 11)
        monitor.write_scalars("WER_valid", {"fr": 50.0 / epoch, "en": None}, epoch)
        monitor.write_scalars("conflict", {"agree": 0.5, "conflict": float("nan")}, epoch)


def monitor_of(folder: Path, *places: str) -> Monitor:
    hparams = {
        "output_folder": str(folder),
        "train_logger": FileTrainLogger(str(folder / "train_log.txt")),
        "tensorboard_logger": TensorboardLogger(str(folder / "tensorboard")),
        "track": list(places),
        "number_of_epochs": 3,
    }
    return Monitor(SimpleNamespace(**hparams, **SETTINGS))


@pytest.mark.slow  # MLflow starts one as it is imported
def test_mlflow_has_tensorboards_curves_of_a_run_that_went_on(store, tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    write(monitor_of(folder, "mlflow"), range(1, 2))
    assert the_run(store).info.status == "RUNNING"
    monitor = monitor_of(folder, "mlflow")
    write(monitor, range(2, 4))
    RunFolder(folder).write_results({"wer_mean": 12.5, "wer": {"fr": 12.5}}, {})
    monitor.write_hyperparameters()
    found = the_run(store)
    curves = {
        name: [
            (each.step, each.value) for each in store.get_metric_history(found.info.run_id, name)
        ]
        for name in found.data.metrics
    }
    shown = RunFolder(folder).read_curves()
    assert curves.pop("test/wer_mean") == [(3, 12.5)]
    del shown["test/wer_mean"]
    assert curves.keys() == shown.keys()
    for name, points in shown.items():
        assert [step for step, _ in curves[name]] == [step for step, _ in points]
        values = [value for _, value in points]
        assert [value for _, value in curves[name]] == pytest.approx(values), name
    assert [step for step, _ in curves["lambda/ssl"]] == [111, 211, 311]
    assert found.info.status == "FINISHED"
    assert found.data.params | {"order": "UAS", "gamma": "0.01"} == found.data.params


@pytest.mark.slow  # MLflow starts one as it is imported
def test_what_mlflow_does_not_take_is_counted_and_training_goes_on(
    store, tmp_path: Path, monkeypatch, caplog
):
    from mlflow.exceptions import MlflowException

    monitor = monitor_of(tmp_path, "mlflow")

    def refuse(*_arguments, **_options) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(type(store), "log_batch", refuse)
    monitor.write_lambdas({"asr/fr": 0.25, "ssl": 0.75}, 1)
    monitor.write_lambdas({"asr/fr": 0.25, "ssl": 0.75}, 2)
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "MLflow did not take 2 values (2 in all)",
        "MLflow did not take 2 values (4 in all)",
    ]
    assert "the disk is full" in caplog.text
    monitor.hparams.tensorboard_logger.writer.flush()
    assert len(RunFolder(tmp_path).read_curves()["lambda/ssl"]) == 2


@pytest.mark.slow  # MLflow starts one as it is imported
def test_a_place_that_is_not_reached_is_named_before_training(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RuntimeError, match=r"track: mlflow does not take the run .*127\.0\.0\.1"):
        open_trackers(["mlflow"], RunFolder(tmp_path), SETTINGS)


def test_a_damaged_name_of_the_run_is_refused(tmp_path: Path):
    run = RunFolder(tmp_path)
    name = run.tracking_id()
    assert RunFolder(tmp_path).tracking_id() == name
    run.tracking.write_text(name[:20])
    with pytest.raises(ValueError, match=r"tracking_id\.txt is damaged: found '\w{20}'"):
        run.tracking_id()


@pytest.mark.parametrize("place", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_named_before_anything_is_written(monkeypatch, place):
    path = str(ROOT / "hparams" / "mini.yaml")
    check_experiment(ExperimentFile(path, {"track": [place]}), {})
    monkeypatch.setattr(keys, "_is_installed", lambda package: package != place)
    with pytest.raises(ValueError, match=rf"track: found \[{place}\], expected .*pip install"):
        check_experiment(ExperimentFile(path, {"track": [place]}), {})


def test_a_folder_is_no_package(tmp_path: Path, monkeypatch):
    (tmp_path / "wandb_of_mine").mkdir()  # such as W&B's own files, beside a script
    monkeypatch.syspath_prepend(tmp_path)
    assert not keys._is_installed("wandb_of_mine")
    assert keys._is_installed("wandb")


WANDB = """
import sys
from pathlib import Path
from tests.vmsp_brain.watch.test_tracking import monitor_of, write
from vmsp_brain.run.folder import RunFolder
folder = Path(sys.argv[1])
monitor = monitor_of(folder, "wandb")
write(monitor, range(1, 2))
monitor.trackers[0].close()
monitor = monitor_of(folder, "wandb")
write(monitor, range(2, 4))
RunFolder(folder).write_results({"wer_mean": 12.5, "wer": {"fr": 12.5}}, {})
monitor.write_hyperparameters()
"""


@pytest.mark.slow
def test_wandb_has_tensorboards_curves_offline(tmp_path: Path):
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_PROJECT": "soups"}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home"), "WANDB_SILENT": "true"}
    (tmp_path / "run").mkdir()
    words = [sys.executable, "-c", WANDB, str(tmp_path / "run")]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    records = [record for file in files for record in read_records(file)]
    run = RunFolder(tmp_path / "run")
    begun = [record.run for record in records if record.HasField("run")]
    assert {(each.run_id, each.project) for each in begun} == {(run.tracking_id(), "soups")}
    config = {item.key: json.loads(item.value_json) for item in begun[0].config.update}
    assert config | SETTINGS == config
    axes = {each.metric.name or each.metric.glob_name: each.metric for each in records}
    assert axes["lambda/*"].step_metric == "steps"
    assert axes["*"].step_metric == "epochs"
    curves: dict[str, list] = {}
    for record in records:
        row = {
            "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
        }
        axis = row.get("steps", row.get("epochs"))
        for name, value in row.items():
            curves.setdefault(name, []).append((axis, value))
    assert curves["test/wer_mean"] == [(3, 12.5)]
    shown = run.read_curves()
    del shown["test/wer_mean"]
    assert len(shown) == 4
    for name, points in shown.items():
        assert [axis for axis, _ in curves[name]] == [step for step, _ in points]
        values = [value for _, value in points]
        assert [value for _, value in curves[name]] == pytest.approx(values), name
