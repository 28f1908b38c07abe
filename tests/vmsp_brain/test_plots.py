"""What is drawn, not how it looks."""

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from vmsp_brain.plots import draw_run, read_curves, save_run_figure

SCALARS = {
    "WER_valid/fr": [90.0, 40.0],
    "WER_valid/en": [80.0, 30.0],
    "WER_valid/mean": [85.0, 35.0],
    "BLEU_valid/fr-en": [1.0, 20.0],
    "lambda/asr/fr": [0.5, 0.6],
    "lambda/ssl": [1.0, 1.0],
    "loss_valid/st/fr-en": [3.0, 2.0],
}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        for tag, values in SCALARS.items():
            for epoch, value in enumerate(values, start=1):
                writer.add_scalar(tag, value, epoch)
    return tmp_path


def test_curves_are_what_was_logged(run_folder: Path):
    curves = read_curves(run_folder)
    for tag, values in SCALARS.items():
        assert [step for step, _ in curves[tag]] == [1, 2]
        assert [value for _, value in curves[tag]] == pytest.approx(values)


def test_a_resumed_run_overwrites_what_it_repeats(run_folder: Path):
    with SummaryWriter(str(run_folder / "tensorboard"), filename_suffix=".later") as writer:
        writer.add_scalar("WER_valid/fr", 25.0, 2)
    assert read_curves(run_folder)["WER_valid/fr"] == [(1, 90.0), (2, 25.0)]


def test_every_curve_is_drawn_and_a_language_keeps_its_colour(run_folder: Path):
    drawn = {}
    for axis in draw_run(read_curves(run_folder)).axes:
        for line in axis.get_lines():
            drawn[axis.get_title().split()[1], line.get_label()] = line
    assert {label for _, label in drawn} == {
        "fr",
        "en",
        "mean",
        "fr-en",
        "asr/fr",
        "ssl",
        "st/fr-en",
    }
    assert list(drawn["WER", "fr"].get_ydata()) == [90.0, 40.0]
    colours = {line.get_color() for (_, label), line in drawn.items() if "fr" in label}
    assert len(colours) == 1
    assert drawn["WER", "en"].get_color() not in colours


def test_the_figure_is_saved_in_the_run_folder(run_folder: Path):
    path = save_run_figure(run_folder)
    assert path == run_folder / "figures" / "run.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_events_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_curves(tmp_path)
