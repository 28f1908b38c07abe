"""What is drawn, not how it looks."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from tests.helpers.recorded_runs import PAIRS, SIMILARITIES, STRENGTHS
from vmsp_brain.method.conflict import Similarity
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.watch.plots import (
    COLOURS,
    CONFLICT_LIMIT,
    WORST_SHOWN,
    draw_all,
    draw_conflicts,
    draw_conflicts_by_layer,
    draw_lambdas,
    draw_losses,
    draw_penalties,
    draw_run,
    draw_runs,
    draw_scores,
    draw_verdicts,
    save_run_figures,
)

SCALARS = {
    "WER_valid/fr": [90.0, 40.0],
    "WER_valid/en": [80.0, 30.0],
    "WER_valid/mean": [85.0, 35.0],
    "BLEU_valid/fr-en": [1.0, 20.0],
    "lambda/asr/fr": [0.5, 0.75],
    "lambda/ssl": [1.0, 1.0],
    "loss_train/st/fr-en": [3.5, 1.0],
    "loss_valid/st/fr-en": [3.0, 2.0],
    "conflict/agree": [0.25, 0.5],
    "conflict/undecided": [0.5, 0.5],
    "conflict/conflict": [0.25, 0.0],
    "signal_share/asr/fr": [0.5, 0.1],
    "penalty/eta_1_st_under_asr": [0.5, 0.25],
    "penalty/eta_2_ssl_under_st": [0.0, 0.125],
}
REPORT = {
    "wer": {"en": 30.0, "fr": 10.0},
    "wer_mean": 20.0,
    "bleu": {"fr-en": 25.0},
    "bleu_mean": 25.0,
}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        for tag, values in SCALARS.items():
            for epoch, value in enumerate(values, start=1):
                writer.add_scalar(tag, value, epoch)
    RunFolder(tmp_path).write_results(REPORT, {})
    RunFolder(tmp_path).write_conflicts(1, SIMILARITIES, STRENGTHS)
    return tmp_path


@pytest.fixture
def curves(run_folder: Path) -> dict:
    return RunFolder(run_folder).read_curves()


def lines(axis) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_run_shows_every_curve_and_a_language_keeps_its_colour(curves):
    drawn = {}
    for axis in draw_run(curves).axes:
        for line in axis.get_lines():
            drawn[axis.get_title().split()[1], line.get_label()] = line
    expected = {"fr", "en", "mean", "fr-en", "asr/fr", "st/fr-en"}
    assert {label for _, label in drawn} == expected
    assert list(drawn["WER", "fr"].get_ydata()) == [90.0, 40.0]
    colours = {line.get_color() for (_, label), line in drawn.items() if "fr" in label}
    assert len(colours) == 1
    assert drawn["WER", "en"].get_color() not in colours


def test_losses_of_training_and_validation_are_side_by_side(curves):
    figure = draw_losses(curves)
    train, valid = figure.axes
    assert (train.get_title(), lines(train)) == ("Training loss", {"st/fr-en": [3.5, 1.0]})
    assert (valid.get_title(), lines(valid)) == ("Validation loss", {"st/fr-en": [3.0, 2.0]})
    assert legend(figure) == ["st/fr-en"]


def test_lambda_is_drawn_over_the_steps(curves):
    [axis] = draw_lambdas(curves).axes
    assert lines(axis) == {"asr/fr": [0.5, 0.75]}, "SSL is alone in its level: always 1"
    assert list(axis.get_lines()[0].get_xdata()) == [1, 2]
    assert axis.get_xlabel() == "optimizer step"


def test_penalties_are_drawn_over_the_epochs(curves):
    [axis] = draw_penalties(curves).axes
    assert lines(axis) == {"η₁: st under asr": [0.5, 0.25], "η₂: ssl under st": [0.0, 0.125]}


def test_scores_have_a_bar_per_language_and_run():
    other = {**REPORT, "wer": {"en": 40.0, "fr": 8.0}, "wer_mean": 24.0}
    figure = draw_scores({"uas": REPORT, "usa": other})
    wer, bleu = figure.axes
    assert [label.get_text() for label in wer.get_xticklabels()] == ["en", "fr", "mean"]
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in wer.containers}
    assert heights == {"uas": [30.0, 10.0, 20.0], "usa": [40.0, 8.0, 24.0]}
    assert [bar.get_height() for bar in bleu.containers[0]] == [25.0, 25.0]
    assert legend(figure) == ["uas", "usa"]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in wer.patches)
    assert all(right <= left + 1e-9 for (_, right), (left, _) in itertools.pairwise(edges))


def test_a_run_of_recognition_alone_has_no_panel_of_translation():
    figure = draw_scores({"asr": {"wer": {"fr": 10.0}, "wer_mean": 10.0}})
    assert [axis.get_title() for axis in figure.axes] == ["Test WER (%), lower is better"]


def heat_map(figure) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """The values, the rows' and columns' names, and what is written in the cells."""
    axis = figure.axes[0]
    rows = [label.get_text() for label in axis.get_yticklabels()]
    columns = [label.get_text() for label in axis.get_xticklabels()]
    [image] = axis.get_images()
    low, high = image.get_clim()
    assert (low, high) == (-CONFLICT_LIMIT, CONFLICT_LIMIT), "the same colours in every figure"
    return image.get_array().filled(np.nan), rows, columns, [t.get_text() for t in axis.texts]


def hatched(axis) -> set[tuple[int, int]]:
    """The cells (row, column) that are muted."""
    return {
        (round(patch.get_y() + 0.5), round(patch.get_x() + 0.5))
        for patch in axis.patches
        if patch.get_hatch()
    }


def test_conflicts_are_those_of_all_layers_symmetric_and_undecided_ones_are_hatched():
    figure = draw_conflicts(SIMILARITIES, 3)
    values, rows, columns, written = heat_map(figure)
    assert rows == columns == ["asr/en", "asr/fr", "st/fr-en"]
    expected = [[np.nan, 0.3, -0.3], [0.3, np.nan, np.nan], [-0.3, np.nan, np.nan]]
    np.testing.assert_allclose(values, expected)
    assert hatched(figure.axes[0]) == {(1, 2), (2, 1)}
    assert sorted(written) == sorted(["0.30", "-0.30", "0.20"] * 2), "the undecided too, in grey"


def test_the_epoch_is_named_and_numbers_are_as_loud_as_they_are_sure():
    found = dict(zip(PAIRS, SIMILARITIES["front_end"].values(), strict=True))
    found[PAIRS[0]] = Similarity(-0.4, 0.05, "conflict")
    found[PAIRS[1]] = Similarity(0.05, 0.01, "agree")
    found[PAIRS[2]] = Similarity(0.45, 0.3, "undecided")
    axis = draw_conflicts({"all layers": found}, epoch=7).axes[0]
    assert "Epoch 7" in axis.get_title()
    colours = {text.get_text(): text.get_color() for text in axis.texts}
    assert colours == {"-0.40": "white", "0.05": "black", "0.45": "0.55"}


def test_a_cell_of_which_nothing_is_known_is_hatched_and_says_nothing():
    unknown = {PAIRS[0]: Similarity(np.nan, np.nan, "undecided")}
    axis = draw_conflicts({"all layers": unknown}, epoch=7).axes[0]
    assert hatched(axis) == {(0, 1), (1, 0)}
    assert not axis.texts


def test_languages_stand_in_the_order_of_the_experiment(curves):
    figure = draw_run(curves)
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["fr", "en", "mean"]


def test_what_is_cut_off_is_marked():
    curves = {"WER_valid/mean": [(1, 220.0), (2, 90.0)], "WER_valid/fr": [(1, 80.0), (2, 60.0)]}
    wer = draw_run(curves).axes[0]
    marks = [line for line in wer.get_lines() if line.get_marker() == "^"]
    assert [list(line.get_data()) for line in marks] == [[[1], [WORST_SHOWN]]]
    assert "above 105 %" in wer.get_xlabel()


def test_no_legend_lies_over_a_curve(curves):
    figure = draw_run(curves)
    figure.draw_without_rendering()
    for axis in figure.axes:
        legend = axis.get_legend()
        if legend is not None:
            assert legend.get_window_extent().x0 >= axis.get_window_extent().x1


def test_objectives_stand_in_the_same_order_whatever_the_hierarchy():
    pairs = ["st/fr-en ~ asr/fr", "st/fr-en ~ ssl", "asr/fr ~ ssl"]
    usa = {pair: Similarity(0.1 * n, 0.01, "agree") for n, pair in enumerate(pairs, start=1)}
    values, rows, _, _ = heat_map(draw_conflicts({"all layers": usa}, 3))
    assert rows == ["asr/fr", "st/fr-en", "ssl"]
    np.testing.assert_allclose(values[0], [np.nan, 0.1, 0.3])


def test_conflicts_by_layer_are_means_per_pair_of_tasks_beside_the_shares_of_verdicts():
    figure = draw_conflicts_by_layer(SIMILARITIES, 3)
    values, rows, columns, _ = heat_map(figure)
    assert rows == ["front_end", "block_01"]
    assert columns == ["asr-asr", "asr-st"]
    np.testing.assert_allclose(values, [[0.5, np.nan], [np.nan, np.nan]])
    assert hatched(figure.axes[0]) == {(0, 1), (1, 0), (1, 1)}, "no more than half is decided"
    widths = [[bar.get_width() for bar in bars] for bars in shares_of(figure)]
    assert legend(figure) == ["agree", "undecided: lost in noise", "conflict"]
    expected = [[2 / 3, 0], [1 / 3, 2 / 3], [0, 1 / 3]]
    np.testing.assert_allclose(widths, expected)


def shares_of(figure):
    [axis] = [axis for axis in figure.axes if "Share of pairs" in axis.get_title()]
    return axis.containers


def test_verdicts_are_stacked_over_the_epochs_beside_the_signal(curves):
    figure = draw_verdicts(curves)
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in shares_of(figure)}
    assert heights == {"agree": [0.25, 0.5], "undecided": [0.5, 0.5], "conflict": [0.25, 0.0]}
    ends = [bar.get_y() + bar.get_height() for bar in shares_of(figure)[-1]]
    assert ends == [1.0, 1.0]
    assert lines(figure.axes[1]) == {"asr/fr": pytest.approx([0.5, 0.1])}


def test_runs_are_compared_over_their_epochs(curves):
    better = {tag: [(x, y / 2) for x, y in curve] for tag, curve in curves.items()}
    del curves["conflict/conflict"]
    figure = draw_runs({"uas": curves, "usa": better})
    wer, bleu, agree, conflict = figure.axes
    assert lines(wer) == {"uas": [85.0, 35.0], "usa": [42.5, 17.5]}
    assert lines(bleu) == {}
    assert lines(agree) == {"uas": [0.25, 0.5], "usa": [0.125, 0.25]}
    assert lines(conflict) == {"usa": [0.125, 0.0]}
    assert wer.get_lines()[0].get_color() != wer.get_lines()[1].get_color()
    assert wer.get_lines()[1].get_color() == conflict.get_lines()[0].get_color() == COLOURS[1]
    assert legend(figure) == ["uas", "usa"]


def test_all_figures_are_saved_in_the_run_folder_and_can_be_drawn_again(run_folder: Path):
    names = {"run", "losses", "lambda", "penalty", "scores", "verdicts"}
    names |= {"conflicts", "conflicts_by_layer"}
    for _ in range(2):
        paths = save_run_figures(run_folder)
        assert {path.relative_to(run_folder) for path in paths} == {
            Path("figures") / f"{name}.png" for name in names
        }
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_what_a_run_has_no_data_for_is_not_drawn(run_folder: Path, curves, monkeypatch):
    (run_folder / "conflicts" / "epoch_0001.csv").unlink()
    single_level = {
        tag: c for tag, c in curves.items() if "eta" not in tag and "conflict" not in tag
    }
    monkeypatch.setattr(RunFolder, "read_curves", lambda run: single_level)
    assert set(draw_all(run_folder)) == {"run", "losses", "lambda", "scores"}
