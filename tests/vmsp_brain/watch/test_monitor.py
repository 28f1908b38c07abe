"""What a run's folder holds after an epoch is what the Brain has measured."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from speechbrain.utils.train_logger import FileTrainLogger, TensorboardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from vmsp_brain.method.conflict import Conflicts, Estimate
from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.jackknife import GroupedSums
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.penalties import LinearPenalty
from vmsp_brain.run.evaluation import Evaluation
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.watch.monitor import SHOWN, Monitor


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    return Monitor(
        SimpleNamespace(
            output_folder=str(tmp_path),
            train_logger=FileTrainLogger(str(tmp_path / "train_log.txt")),
            tensorboard_logger=TensorboardLogger(str(tmp_path / "tensorboard")),
        )
    )


def events(monitor: Monitor) -> EventAccumulator:
    monitor.hparams.tensorboard_logger.writer.flush()
    return EventAccumulator(monitor.hparams.tensorboard_logger.save_dir).Reload()


def curves(monitor: Monitor) -> dict:
    monitor.hparams.tensorboard_logger.writer.flush()
    return RunFolder(monitor.hparams.output_folder).read_curves()


def write_epoch(monitor: Monitor, report: dict, valid_losses: dict[str, float]) -> None:
    """The third epoch."""
    levels = [Level(["asr/*"]), Level(["ssl"], penalty=LinearPenalty(start=0.1, growth=0.1))]
    evaluation = Evaluation({})
    evaluation.losses.add(valid_losses)
    hierarchy = Hierarchy(levels, ["asr/en", "asr/fr", "ssl"])
    rates, cost = {"encoder": 0.5, "heads": 0.25}, {"minutes": 2.0}
    monitor.write_epoch(3, hierarchy, rates, {"asr/fr": 1.5}, evaluation, report, cost)


def test_an_epoch_is_on_the_disk_before_its_checkpoint_can_be(monitor: Monitor):
    write_epoch(monitor, {"wer": {"fr": 50.0}, "wer_mean": 50.0}, {"asr/fr": 2.5, "ssl": 4.0})
    found = RunFolder(monitor.hparams.output_folder).read_curves()  # nobody has closed the file
    assert found["WER_valid/mean"] == [(3, 50.0)]
    assert found["cost/minutes"] == [(3, 2.0)]


def test_an_epoch_is_a_log_line_and_points_on_every_curve(monitor: Monitor):
    report = {"wer": {"fr": 50.0}, "wer_mean": 50.0}
    write_epoch(monitor, report, {"asr/fr": 2.5, "ssl": 4.0})
    found = curves(monitor)
    assert found == {
        "penalty/eta_1_ssl_under_asr": [(3, pytest.approx(0.3))],
        "learning_rate/encoder": [(3, 0.5)],
        "learning_rate/heads": [(3, 0.25)],
        "loss_train/asr/fr": [(3, 1.5)],
        "loss_valid/asr/fr": [(3, 2.5)],
        "loss_valid/ssl": [(3, 4.0)],
        "WER_valid/fr": [(3, 50.0)],
        "WER_valid/mean": [(3, 50.0)],
        "cost/minutes": [(3, 2.0)],
    }
    [line] = (Path(monitor.hparams.output_folder) / "train_log.txt").read_text().splitlines()
    for part in (
        "epoch: 3",
        "eta_1_ssl_under_asr: 3.00e-01",
        "lambda asr/fr: 5.00e-01",
        "valid wer: 50.00",
    ):
        assert part in line


def test_an_epoch_says_how_far_it_is_and_its_scores(monitor: Monitor, caplog):
    monitor.hparams.number_of_epochs = 9
    report = {"wer": {"fr": 50.0, "en": 30.0}, "wer_mean": 40.0, "bleu": {"fr-en": 5.0}}
    with caplog.at_level("INFO"):
        write_epoch(monitor, {**report, "bleu_mean": 5.0}, {"asr/fr": 2.0, "ssl": 4.0})
    assert caplog.messages == [
        "Epoch 3 of 9, loss 3.00     WER %  fr 50.00   en 30.00   mean 40.00\n"
        "                            BLEU   fr-en 5.00   mean 5.00"
    ]


def test_lambda_has_its_own_time(monitor: Monitor):
    monitor.write_lambdas({"asr/fr": 0.25}, 11)
    monitor.write_lambdas({"asr/fr": 0.5}, 21)
    assert curves(monitor) == {"lambda/asr/fr": [(11, 0.25), (21, 0.5)]}


def test_groups_stand_on_the_page_in_the_order_of_reading(monitor: Monitor):
    monitor.write_scalars("cost", {"minutes": 1.0}, 1)
    monitor.write_scalars("WER_valid", {"fr": 1.0, "unknown": None}, 1)
    monitor.write_lambdas({"asr/fr": 0.25}, 1)
    assert [tag.partition("_")[2] for tag in sorted(events(monitor).Tags()["scalars"])] == [
        "WER_valid/fr",
        "lambda/asr/fr",
        "cost/minutes",
    ]


def test_samples_are_heard_and_read_beside_their_references(monitor: Monitor):
    made = [Hypothesis(f"clip_{n}", f"reference {n}", f"heard {n}") for n in range(9)]
    wave = torch.sin(torch.arange(8000) / 10)
    monitor.write_samples({"asr/fr": made, "st/fr-en": []}, {"fr": wave}, 1)
    found = events(monitor)
    [tag] = [tag for tag in found.Tags()["tensors"] if "asr/fr" in tag]
    table = found.Tensors(tag)[0].tensor_proto.string_val[0].decode().split("\n")
    assert table[2:] == [f"| clip_{n} | reference {n} | heard {n} |" for n in range(SHOWN)]
    [tag] = found.Tags()["audio"]
    [sound] = found.Audio(tag)
    heard, rate = soundfile.read(io.BytesIO(sound.encoded_audio_string))
    assert rate == 16_000
    assert heard == pytest.approx(wave.numpy(), abs=1e-3)


def test_hyperparameters_are_the_experiments_numbers_with_its_scores(monitor: Monitor):
    vars(monitor.hparams).update(order="UAS", gamma=0.01, batch_size=4)
    RunFolder(monitor.hparams.output_folder).write_results(
        {"wer_mean": 12.5, "wer": {"fr": 12.5}}, {}
    )
    monitor.write_hyperparameters()
    assert curves(monitor) == {"test/wer_mean": [(0, 12.5)]}
    saved = events(monitor).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    shown = HParamsPluginData.FromString(saved).session_start_info.hparams
    assert {key: value.WhichOneof("kind") for key, value in shown.items()} == {
        "order": "string_value",
        "gamma": "number_value",
        "batch_size": "number_value",
    }


def conflicts_of(products: list[list[float]]) -> Conflicts:
    """Of three objectives on two layers, the products on the first being those of every step, and
    nothing of st/fr-en on the second."""
    first = torch.tensor(products)
    second = first.clone()
    second[2] = second[:, 2] = 0.0
    sample = GroupedSums()
    for _ in range(3):
        sample.add(torch.stack([first, second]))
    names = ["asr/fr", "ssl", "st/fr-en"]
    return Conflicts(sample, ["a", "b"], names, names)


def test_conflicts_are_tables_and_their_means(monitor: Monitor):
    conflicts = conflicts_of([[1.0, -0.5, 0.25, 4.0], [-0.5, 1.0, 0.0, 2.0], [0.25, 0.0, 1.0, 8.0]])
    monitor.write_conflicts(conflicts, 2)
    folder = Path(monitor.hparams.output_folder) / "conflicts"
    assert (folder / "epoch_0002.csv").read_text().splitlines()[1:5] == [
        "a,asr/fr ~ ssl,-0.500000,0.000000,conflict",
        "a,asr/fr ~ st/fr-en,0.250000,0.000000,agree",
        "a,ssl ~ st/fr-en,0.000000,0.000000,undecided",
        "b,asr/fr ~ ssl,-0.500000,0.000000,conflict",
    ]
    assert "a,ssl,1.000000,0.000000,0.500000,0.000000" in (
        (folder / "objectives_0002.csv").read_text().splitlines()
    )
    assert curves(monitor) == {
        "conflict/agree": [(2, pytest.approx(1 / 6))],
        "conflict/undecided": [(2, 0.5)],
        "conflict/conflict": [(2, pytest.approx(2 / 6))],
        "conflict_by_layer/a": [(2, pytest.approx(-0.25 / 3))],
        "conflict_by_layer/b": [(2, -0.5)],
        "conflict_by_task/asr-ssl": [(2, -0.5)],
        "conflict_by_task/asr-st": [(2, 0.25)],
        "conflict_by_task/ssl-st": [(2, 0.0)],
        "signal_share/asr/fr": [(2, 0.25)],
        "signal_share/ssl": [(2, 0.5)],
        "signal_share/st/fr-en": [(2, 0.125)],
    }
    assert [tag.partition("_")[2] for tag in events(monitor).Tags()["images"]] == [
        "conflict/objectives",
        "conflict/layers",
    ]


def test_the_selected_layers_are_named_in_the_log_and_marked_on_a_curve(monitor: Monitor, caplog):
    caplog.set_level("INFO")
    selection = LayerSelection(efficient=True, warm_up=2, max_layers=2)
    values = {"front_end": 0.1, "block_01": -0.2, "block_02": -0.3, "norm": -0.05}
    similarities = {layer: Estimate(mean, 0.05, mean + 0.1) for layer, mean in values.items()}
    for epoch in (1, 2):
        selection.update(epoch, similarities)
        monitor.write_selection(selection, similarities, epoch)
    [line] = caplog.messages
    assert line.startswith(
        "Epoch 2: 2 of 4 layers selected; the mean of 3 is under the threshold 0.0, that of 2 "
        "beyond doubt: block_01"
    )
    assert "block_02 (-0.300 ± 0.050)" in line
    assert curves(monitor)["selected_layer/front_end"] == [(2, 0.0)]
    assert curves(monitor)["selected_layer/block_02"] == [(2, 1.0)]
