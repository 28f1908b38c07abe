"""What a run's folder holds after an epoch is what the Brain has measured."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from speechbrain.utils.train_logger import FileTrainLogger, TensorboardLogger

from vmsp_brain.monitor import Monitor
from vmsp_brain.recorded_run import read_curves


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    return Monitor(
        SimpleNamespace(
            output_folder=str(tmp_path),
            train_logger=FileTrainLogger(str(tmp_path / "train_log.txt")),
            tensorboard_logger=TensorboardLogger(str(tmp_path / "tensorboard")),
        )
    )


def curves(monitor: Monitor) -> dict:
    monitor.hparams.tensorboard_logger.writer.flush()
    return read_curves(monitor.hparams.output_folder)


def test_an_epoch_is_a_log_line_and_points_on_every_curve(monitor: Monitor):
    monitor.write_epoch(
        3,
        penalties=[0.3, 0.2],
        lambdas={"asr/fr": 0.75, "ssl": 1.0},
        rates={"encoder": 0.5, "heads": 0.25},
        train_losses={"asr/fr": 1.5},
        valid_losses={"asr/fr": 2.5, "ssl": 4.0},
        report={"wer": {"fr": 50.0}, "wer_mean": 50.0},
    )
    found = curves(monitor)
    assert found == {
        "penalty/eta_1": [(3, pytest.approx(0.3))],
        "penalty/eta_2": [(3, pytest.approx(0.2))],
        "learning_rate/encoder": [(3, 0.5)],
        "learning_rate/heads": [(3, 0.25)],
        "loss_train/asr/fr": [(3, 1.5)],
        "loss_valid/asr/fr": [(3, 2.5)],
        "loss_valid/ssl": [(3, 4.0)],
        "WER_valid/fr": [(3, 50.0)],
        "WER_valid/mean": [(3, 50.0)],
    }
    [line] = (Path(monitor.hparams.output_folder) / "train_log.txt").read_text().splitlines()
    for part in ("epoch: 3", "eta_1: 3.00e-01", "lambda asr/fr: 7.50e-01", "valid wer: 50.00"):
        assert part in line


def test_lambda_has_its_own_time(monitor: Monitor):
    monitor.write_lambdas({"asr/fr": 0.25}, 11)
    monitor.write_lambdas({"asr/fr": 0.5}, 21)
    assert curves(monitor) == {"lambda/asr/fr": [(11, 0.25), (21, 0.5)]}


def test_conflicts_are_a_table_and_their_means(monitor: Monitor):
    cosines = {"a": {"asr/fr ~ ssl": -0.5}, "b": {"asr/fr ~ ssl": 0.25}}
    monitor.write_conflicts(cosines, 2)
    table = Path(monitor.hparams.output_folder) / "conflicts" / "epoch_0002.csv"
    assert table.read_text().splitlines()[1:] == ["a,-0.500000", "b,0.250000"]
    assert curves(monitor) == {
        "conflict_by_layer/a": [(2, -0.5)],
        "conflict_by_layer/b": [(2, 0.25)],
        "conflict_by_task/asr-ssl": [(2, -0.125)],
        "conflict/share_of_conflicting_pairs": [(2, 0.5)],
    }


def test_an_epoch_without_measured_conflicts_writes_none(monitor: Monitor):
    monitor.write_conflicts({}, 2)
    assert not (Path(monitor.hparams.output_folder) / "conflicts").exists()
