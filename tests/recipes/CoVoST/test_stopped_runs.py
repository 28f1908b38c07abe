"""Runs that are stopped as a user, a cluster or a power cut stops them, and go on."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from tests.helpers.commands import command, last_parameters
from vmsp_brain.data.manifests import read_manifest

pytestmark = pytest.mark.slow

OPTIONS = ("--languages=[en, fr]", "--pairs=[fr-en]", "--dropout=0.1", "--num_workers=2",
           "--valid_search={beam_size: 4, max_decode_ratio: 1.0}", "--ckpt_interval_minutes=0",
           "--valid_batch_size=1", "--device=cpu")  # fmt: skip
TWO_PROCESSES = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
VALIDATION = {(): 12, TWO_PROCESSES: 6}
"""Batches of each process: three utterances of two languages, and all of them for SSL."""


class Running:
    """A command with all its processes, in a process group of its own."""

    def __init__(self, data: Path, out: Path, launch: tuple[str, ...], log: Path, *more: str):
        arguments = command("train.py", "uas.yaml", data, out, *OPTIONS, *more)
        arguments[1:1] = launch
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.log = log
        with log.open("w") as file:
            self.main = subprocess.Popen(
                arguments, env=environment, stdout=file, stderr=file, start_new_session=True
            )

    def when(self, condition: Callable[[], bool]) -> "Running":
        """Wait until the condition holds."""
        while not condition():
            assert self.main.poll() is None, f"ended before it was stopped: {self.log.read_text()}"
            time.sleep(0.01)
        return self

    def end(self) -> int:
        """Wait for the end of the command, and of every process that it started; its exit code."""
        started = [*_descendants(self.main.pid)]
        code = self.main.wait(240)
        deadline = time.monotonic() + 20
        while any(map(_lives, started)):
            assert time.monotonic() < deadline, "processes are left"
            time.sleep(0.05)
        return code

    def signal_all(self, number: signal.Signals) -> int:
        """As Slurm and a terminal do, to every group of processes at once; the exit code."""
        pids = [self.main.pid, *_descendants(self.main.pid)]
        for group in dict.fromkeys(map(os.getpgid, pids)):
            os.killpg(group, number)
        return self.end()


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def has_saved(out: Path, epoch: int, step: int) -> Callable[[], bool]:
    """Whether there is a checkpoint of the middle of this epoch, after so many steps or more."""

    def holds() -> bool:
        for path in (out / "save").glob("CKPT*"):
            with contextlib.suppress(OSError):  # it may be being deleted
                meta = yaml.safe_load((path / "CKPT.yaml").read_text())
                current = int((path / "epoch_counter.ckpt").read_text())
                steps = yaml.safe_load((path / "brain.ckpt").read_text())["step"]
                if not meta["end-of-epoch"] and current == epoch and steps >= step:
                    return True
        return False

    return holds


@pytest.fixture(scope="module", params=[(), TWO_PROCESSES], ids=["alone", "torchrun"])
def launch(request) -> tuple[str, ...]:
    """What stands before the script."""
    return request.param


@pytest.fixture(scope="module")
def whole(launch, mini_covost: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted, and its output beside it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    log = out.with_name("log")
    assert Running(mini_covost, out, launch, log).end() == 0, log.read_text()
    return out


def test_processes_share_a_test_set(whole: Path, mini_covost: Path):
    assert set(json.loads((whole / "results.json").read_text())["wer"]) == {"en", "fr"}
    lines = whole.with_name("log").read_text().splitlines()
    assert sum(line.startswith("Test ") and "WER" in line for line in lines) == 1
    for objective, language in (("asr_en", "en"), ("asr_fr", "fr"), ("st_fr-en", "fr")):
        rows = read_manifest(whole / "manifests" / f"{language}_test.csv", mini_covost)
        lines = (whole / "test" / f"{objective}.tsv").read_text().splitlines()[1:]
        assert sorted(line.split("\t")[0] for line in lines) == sorted(rows)


def test_a_run_that_is_stopped_again_and_again_ends_bit_identical(
    whole: Path, launch, mini_covost: Path, tmp_path: Path
):
    out, log = tmp_path / "run", tmp_path / "log"

    def start(*more: str) -> Running:
        return Running(mini_covost, out, launch, log, *more)

    often = "--ckpt_interval_steps=1"
    code = start(often).when(has_saved(out, 1, 1)).signal_all(signal.SIGTERM)
    assert code == (1 if launch else 143)
    [stopped] = [line for line in log.read_text().splitlines() if "Stopped by" in line]
    assert "Stopped by SIGTERM in epoch 1, step " in stopped
    assert stopped.endswith("; a checkpoint was saved. Give the same command to go on.")

    begun = f"0/{VALIDATION[launch]} ["  # the progress bar
    code = start().when(lambda: begun in log.read_text()).signal_all(signal.SIGINT)
    assert code == (1 if launch else 130)
    said = log.read_text()
    assert said.count("Stopped by") == 1
    assert (
        "Stopped by Ctrl-C (SIGINT) in the validation of epoch 1; a checkpoint was saved." in said
    )
    assert launch or "Traceback" not in said

    start(often).when(has_saved(out, 2, 2)).signal_all(signal.SIGKILL)
    assert not (out / "results.json").exists()

    assert start().end() == 0, log.read_text()
    expected, found = last_parameters(whole), last_parameters(out)
    assert expected.keys() == found.keys()
    assert len(expected) > 100
    different = [name for name, value in expected.items() if not torch.equal(value, found[name])]
    assert not different
    for name in ("results.json", "train_log.txt"):
        assert (whole / name).read_text() == (out / name).read_text()
