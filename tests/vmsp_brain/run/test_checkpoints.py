"""A checkpoint is found whole or not at all."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from speechbrain.utils.checkpoints import (
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from vmsp_brain.run.checkpoints import AtomicCheckpointer, CheckpointError


@register_checkpoint_hooks
class Value:
    """A recoverable whose saving can be made to fail."""

    def __init__(self, value: int = 0, fails: bool = False) -> None:
        self.value = value
        self.fails = fails

    @mark_as_saver
    def _save(self, path) -> None:
        Path(path).write_text(str(self.value))
        if self.fails:
            raise KeyboardInterrupt("killed")

    @mark_as_loader
    def _load(self, path, end_of_epoch: bool) -> None:
        self.value = int(Path(path).read_text())


def saver(folder, **recoverables) -> AtomicCheckpointer:
    return AtomicCheckpointer(folder, recoverables)


def recovered(folder, **recoverables) -> list[int]:
    values = recoverables or {"value": Value()}
    saver(folder, **values).recover_if_possible()
    return [value.value for value in values.values()]


def folders(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir() if any(found.iterdir()))


def test_what_was_saved_is_recovered(tmp_path):
    saver(tmp_path, value=Value(3)).save_checkpoint()
    assert recovered(tmp_path) == [3]


def test_two_saves_in_the_same_second_are_two_checkpoints_the_later_one_found(tmp_path):
    value = Value(1)
    checkpointer = saver(tmp_path, value=value)
    first = checkpointer.save_checkpoint()
    value.value = 2
    second = checkpointer.save_checkpoint()
    assert first.path != second.path
    assert len(checkpointer.list_checkpoints()) == 2
    assert recovered(tmp_path) == [2]


def test_returned_checkpoint_is_the_one_in_its_place(tmp_path):
    checkpointer = saver(tmp_path, value=Value(1))
    checkpoint = checkpointer.save_checkpoint(meta={"WER": 12.5})
    assert checkpoint.path.parent == tmp_path
    assert checkpoint.meta["WER"] == 12.5
    assert checkpoint == checkpointer.find_checkpoint()
    assert checkpoint.paramfiles["value"].read_text() == "1"


def test_speechbrains_checkpointer_reads_it(tmp_path):
    saver(tmp_path, value=Value(4)).save_checkpoint()
    value = Value()
    Checkpointer(tmp_path, {"value": value}).recover_if_possible()
    assert value.value == 4


def test_a_save_that_dies_leaves_the_previous_checkpoint_as_the_one_found(tmp_path):
    first, second = Value(1), Value(10)
    checkpointer = saver(tmp_path, first=first, second=second)
    kept = checkpointer.save_checkpoint()
    first.value, second.value, second.fails = 2, 20, True
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save_checkpoint()
    assert [found.path for found in checkpointer.list_checkpoints()] == [kept.path]
    assert recovered(tmp_path, first=Value(), second=Value()) == [1, 10]


def test_a_first_save_that_dies_leaves_no_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        saver(tmp_path, value=Value(1, fails=True)).save_checkpoint()
    assert saver(tmp_path).find_checkpoint() is None
    assert recovered(tmp_path) == [0]


def test_the_same_checkpointer_saves_again_after_a_save_that_died(tmp_path):
    value = Value(1, fails=True)
    checkpointer = saver(tmp_path, value=value)
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save_checkpoint()
    value.fails = False
    checkpointer.save_checkpoint()
    assert recovered(tmp_path) == [1]


def test_what_a_killed_run_left_is_cleaned(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        saver(tmp_path, value=Value(1, fails=True)).save_checkpoint()
    assert "incomplete" in folders(tmp_path)
    saver(tmp_path, value=Value(2)).save_checkpoint()
    assert len(folders(tmp_path)) == 1
    assert "incomplete" not in folders(tmp_path)


def test_modules_and_optimizers_are_recovered(tmp_path):
    def made():
        model = torch.nn.Linear(2, 2)
        return {"model": model, "optimizer": torch.optim.AdamW(model.parameters())}

    whole, resumed = made(), made()
    whole["model"](torch.ones(1, 2)).sum().backward()
    whole["optimizer"].step()
    saver(tmp_path, **whole).save_checkpoint()
    saver(tmp_path, **resumed).recover_if_possible()
    assert torch.equal(whole["model"].weight, resumed["model"].weight)
    for before, after in zip(
        whole["optimizer"].state.values(), resumed["optimizer"].state.values(), strict=True
    ):
        assert torch.equal(before["exp_avg"], after["exp_avg"])


def test_the_best_and_the_latest_are_kept(tmp_path):
    value = Value()
    checkpointer = saver(tmp_path, value=value)
    for epoch, wer in enumerate([40.0, 20.0, 30.0, 35.0], start=1):
        value.value = epoch
        checkpointer.save_and_keep_only(meta={"epoch": epoch, "WER": wer}, min_keys=["WER"])
    kept = checkpointer.list_checkpoints()
    assert sorted(checkpoint.meta["epoch"] for checkpoint in kept) == [2, 4]
    assert checkpointer.find_checkpoint(min_key="WER").meta["epoch"] == 2
    assert checkpointer.find_checkpoint().meta["epoch"] == 4


def test_a_save_that_dies_deletes_nothing(tmp_path):
    value = Value(1)
    checkpointer = saver(tmp_path, value=value)
    checkpointer.save_and_keep_only(meta={"WER": 10.0}, min_keys=["WER"])
    value.value, value.fails = 2, True
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save_and_keep_only(meta={"WER": 5.0}, min_keys=["WER"])
    assert recovered(tmp_path) == [1]


def test_names_are_kept(tmp_path):
    checkpoint = saver(tmp_path, value=Value(1)).save_checkpoint(name="epoch_3")
    assert checkpoint.path.name == "CKPT+epoch_3"
    assert recovered(tmp_path) == [1]


def test_saving_a_name_again_replaces_the_checkpoint(tmp_path):
    """As with SpeechBrain's own Checkpointer."""
    value = Value(1)
    checkpointer = saver(tmp_path, value=value)
    checkpointer.save_checkpoint(name="best")
    value.value = 2
    checkpointer.save_checkpoint(name="best")
    assert recovered(tmp_path) == [2]


@pytest.mark.parametrize("damage", ["truncated", "foreign", "not a file of torch"])
def test_a_damaged_or_foreign_checkpoint_is_named_and_the_one_before_it_loads(tmp_path, damage):
    model = torch.nn.Linear(50, 50)
    checkpointer = saver(tmp_path, model=model)
    weight = model.weight.detach().clone()
    checkpointer.save_checkpoint()
    torch.nn.init.zeros_(model.weight)
    last = checkpointer.save_checkpoint()
    path = last.paramfiles["model"]
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "foreign":
        torch.save(torch.nn.Linear(3, 3).state_dict(), path)
    else:
        path.write_text("model")
    with pytest.raises(CheckpointError, match=r"(?s)CKPT\+\S+ cannot be loaded.*remove it"):
        checkpointer.recover_if_possible()
    checkpointer.delete_checkpoints(
        num_to_keep=0, ckpt_predicate=lambda checkpoint: checkpoint.path == last.path
    )
    checkpointer.recover_if_possible()
    assert torch.equal(model.weight, weight)


def weights(folder: Path) -> torch.nn.Linear:
    model = torch.nn.Linear(300, 300)
    saver(folder, model=model).recover_if_possible()
    return model


SAVE = """
import resource, signal, sys, torch
from vmsp_brain.run.checkpoints import AtomicCheckpointer
if sys.argv[2] == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    AtomicCheckpointer(sys.argv[1], {"model": torch.nn.Linear(300, 300)}).save_checkpoint()
except Exception as error:
    print(type(error).__name__, error)
"""
MOUNTED = 'mount -t tmpfs -o size=600k none $1 && $0 -c "$2" $1 no && $0 -c "$2" $1 no && ls $1'


def save_in_a_process(*words: str | Path) -> str:
    """With a file that may not grow over 100 kB, or two on a file system of 600 kB, in turn."""
    done = subprocess.run([*words], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
def test_a_full_disk_is_named_and_leaves_the_previous_checkpoint_loadable(tmp_path):
    model = torch.nn.Linear(300, 300)
    before = saver(tmp_path, model=model).save_checkpoint()
    told = save_in_a_process(sys.executable, "-c", SAVE, tmp_path, "limit")
    assert told.startswith(
        f"CheckpointError {tmp_path}: a checkpoint could not be saved: File too large ("
    )
    assert f"Whole checkpoints: {before.path.name}. Make room, then" in told
    assert folders(tmp_path) == [before.path.name], "the unfinished one gives its room back"
    assert torch.equal(weights(tmp_path).weight, model.weight)


@pytest.mark.slow
def test_a_file_system_without_space_is_named(tmp_path):
    """A real one, which fills up: the second checkpoint of 360 kB has no place."""
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("this system lets nobody mount a file system of their own")
    told = save_in_a_process(*alone, MOUNTED, sys.executable, tmp_path, SAVE)
    message, *left = told.splitlines()
    assert f"{tmp_path}: a checkpoint could not be saved: No space left on device (" in message
    [kept] = [name for name in left if name.startswith("CKPT+")]
    assert f"Whole checkpoints: {kept}. Make room, then" in message


def test_another_error_while_saving_stays_what_it_is(tmp_path):
    class Unsaveable(torch.nn.Linear):
        def state_dict(self, *arguments, **options):
            raise RuntimeError("of the model")

    with pytest.raises(RuntimeError, match="of the model"):
        saver(tmp_path, model=Unsaveable(1, 1)).save_checkpoint()


def test_a_checkpoint_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    checkpoint = saver(tmp_path, value=Value(1)).save_checkpoint(name="x")
    incomplete = tmp_path / "incomplete" / "CKPT+x"
    assert {incomplete / "value.ckpt", incomplete / "CKPT.yaml"} <= set(synced)
    assert synced[-1] == checkpoint.path.parent


@pytest.mark.parametrize("text", ["", "WER: [", "- 1", "WER: 3.0\n", "\0"])
def test_damaged_metadata_are_named(tmp_path, text):
    checkpoint = saver(tmp_path, value=Value(1)).save_checkpoint({"WER": 2.0})
    (checkpoint.path / "CKPT.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=rf"{re.escape(str(checkpoint.path))}/CKPT.yaml is"):
        recovered(tmp_path)
