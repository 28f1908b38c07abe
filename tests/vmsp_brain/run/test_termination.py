"""SIGTERM and Ctrl-C are noted where a run asks for it, and nowhere else."""

import os
import signal
import subprocess
import sys

import pytest

from vmsp_brain.run.termination import Termination


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_noted_and_ends_the_program_when_it_is_told_to(number, code, caplog):
    with pytest.raises(SystemExit) as ended, Termination() as termination:
        assert not termination.requested
        signal.raise_signal(number)
        assert termination.requested
        termination.stop("epoch 3, step 5; a checkpoint was saved.")
    assert ended.value.code == code
    [line] = caplog.messages
    assert number.name in line
    assert line.endswith("in epoch 3, step 5; a checkpoint was saved.")


def test_the_former_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    termination = Termination()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(ValueError, match="any"), termination:
        assert signal.getsignal(signal.SIGTERM) not in before
        signal.raise_signal(signal.SIGINT)
        raise ValueError("any")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_signal_that_nothing_heeded_is_passed_on():
    with pytest.raises(KeyboardInterrupt), Termination():
        signal.raise_signal(signal.SIGINT)


def test_what_an_earlier_run_was_asked_does_not_stop_a_new_one():
    termination = Termination()
    with pytest.raises(SystemExit), termination:
        signal.raise_signal(signal.SIGTERM)
        termination.stop("a run.")
    with termination:
        assert not termination.requested


TWICE = """
import signal, sys
from vmsp_brain.run.termination import Termination
with Termination():
    signal.raise_signal(signal.SIGINT)
    print("noted", flush=True)
    signal.raise_signal(signal.SIGINT)
    print("not ended")
"""


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_without_a_traceback():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == ("noted\n", "")


STOPPED = """
import os, signal, sys
from torch.utils.data import DataLoader
from vmsp_brain.run.termination import heed_parent_alone
loader = DataLoader(range(40), num_workers=2, worker_init_fn=heed_parent_alone)
batches = iter(loader)
read = [int(next(batches)) for _ in range(5)]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(*[worker.pid for worker in batches._workers], flush=True)
sys.stdin.readline()
read += [int(batch) for batch in batches]
assert read == [*range(40)], read
batches = iter(loader)
next(batches)
print(*[worker.pid for worker in batches._workers], flush=True)
sys.exit(7)  # with workers that wait, as a stopped run has
"""


@pytest.mark.slow
def test_workers_outlive_the_signals_of_their_group_but_not_their_parent():
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    first = process.stdout.readline().split()
    assert len(first) == 2
    for number in (signal.SIGTERM, signal.SIGINT):
        os.killpg(process.pid, number)
    second, _ = process.communicate("go on\n", timeout=60)
    assert process.returncode == 7
    for pid in [*first, *second.split()]:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
