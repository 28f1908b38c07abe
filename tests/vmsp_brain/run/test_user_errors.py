"""Which errors are told in one message, and which keep their traceback."""

import signal

import pytest
import torch

from vmsp_brain.method.penalties import LinearPenalty
from vmsp_brain.names import split_pair
from vmsp_brain.run.checkpoints import AtomicCheckpointer, CheckpointError
from vmsp_brain.run.user_errors import one_message


def told(capsys, action) -> str:
    with pytest.raises(SystemExit) as end, one_message():
        action()
    assert end.value.code == 1
    return capsys.readouterr().err


def test_what_the_library_raises_is_told_in_one_line(capsys):
    message = told(capsys, lambda: split_pair("fr"))
    assert message == "pairs: found 'fr', expected source-target such as fr-en or zh-CN-en.\n"


def test_a_message_is_told_whatever_it_was_made_of(tmp_path, capsys):
    (tmp_path / "x.ckpt").write_bytes(b"")
    checkpointer = AtomicCheckpointer(tmp_path, {"x": torch.nn.Linear(1, 1)})
    checkpoint = checkpointer.save_checkpoint()
    (checkpoint.path / "x.ckpt").write_bytes(b"damaged")
    message = told(capsys, lambda: checkpointer.load_checkpoint(checkpoint))
    assert message.startswith(f"{checkpoint.path} cannot be loaded")
    assert issubclass(CheckpointError, ValueError)


def test_what_the_system_raises_is_told_with_its_file(tmp_path, capsys):
    assert "nowhere" in told(capsys, lambda: (tmp_path / "nowhere").read_text())


def test_ctrl_c_before_training_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as end, one_message():
        signal.raise_signal(signal.SIGINT)
    assert end.value.code == 130
    assert capsys.readouterr().err == "Stopped by Ctrl-C (SIGINT). The same command goes on.\n"


@pytest.mark.parametrize(
    "bug",
    [
        lambda: torch.zeros(2, 3) @ torch.zeros(2, 3),
        lambda: torch.utils.data.DataLoader([1], batch_size=-1),  # torch raises it by name
        lambda: {}["missing"],
        lambda: int("x"),  # no raise statement
    ],
)
def test_errors_of_the_code_keep_their_traceback(bug):
    with pytest.raises((RuntimeError, ValueError, KeyError)), one_message():
        bug()


def test_an_error_within_the_library_that_nobody_raised_keeps_its_traceback():
    with pytest.raises(TypeError), one_message():
        LinearPenalty("a")


def test_processes_that_do_not_know_of_each_other_yet_say_it_once(capsys, monkeypatch):
    def fail() -> None:
        split_pair("fr")

    assert told(capsys, fail)
    monkeypatch.setenv("RANK", "1")
    assert told(capsys, fail) == ""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert told(capsys, fail)
