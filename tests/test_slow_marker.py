"""What is not marked slow starts no process: `make test-fast` is fast because it cannot be else."""

import multiprocessing
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-c", "pass"]
MESSAGE = "is to be marked slow"


def test_a_test_that_is_not_slow_can_start_no_process():
    with pytest.raises(pytest.fail.Exception, match=MESSAGE):
        subprocess.run(COMMAND)
    with pytest.raises(pytest.fail.Exception, match=MESSAGE):
        multiprocessing.get_context("spawn").Process(target=print).start()


@pytest.mark.slow
def test_a_slow_one_can():
    subprocess.run(COMMAND, check=True)
