"""SpeechBrain's log of epochs, read again."""

import pytest
from speechbrain.utils.train_logger import FileTrainLogger

from vmsp_brain.run.train_log import epochs_done, read_lambdas


def write(path, *epochs: tuple[int, float]) -> None:
    for epoch, value in epochs:
        stats = {"epoch": epoch, "eta_1": 0.1, "lambda asr/fr": value, "lambda st/fr-en": 1 - value}
        FileTrainLogger(str(path)).log_stats(stats, {"loss asr/fr": 4.5}, {"wer": 99.5})


def test_lambdas_are_those_that_were_logged_the_later_of_a_repeated_epoch(tmp_path):
    log = tmp_path / "train_log.txt"
    write(log, (1, 0.25), (2, 0.5), (2, 0.75))
    assert read_lambdas(log) == {
        "asr/fr": [(1, 0.25), (2, 0.75)],
        "st/fr-en": [(1, 0.75), (2, 0.25)],
    }
    assert epochs_done(log) == 2


def test_a_run_that_has_not_logged_has_done_no_epoch(tmp_path):
    assert epochs_done(tmp_path / "train_log.txt") == 0


def test_a_line_that_is_no_epoch_is_named(tmp_path):
    log = tmp_path / "train_log.txt"
    write(log, (1, 0.25))
    log.write_text(log.read_text() + "damaged\n")
    with pytest.raises(ValueError, match=r"train_log\.txt, line 2: found 'damaged'"):
        read_lambdas(log)
