"""The documents' Slurm script, with stand-ins for Slurm's commands and for `torchrun`."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT

pytestmark = pytest.mark.slow

COMMANDS = {
    "scontrol": """
        case $1 in
            show) echo one; echo two ;;
            requeue) echo "requeue $2" >> "$EVENTS" ;;
        esac""",
    "srun": 'exec "$@"',
    "scancel": 'echo "scancel $*" >> "$EVENTS"; kill -TERM "$(cat "$EVENTS.pid")"',
    "torchrun": """
        echo $$ > "$EVENTS.pid"
        trap 'sleep 0.2; echo saved >> "$EVENTS"; exit 1' TERM
        echo "torchrun $*" >> "$EVENTS"
        if [ -n "$ENDS" ]; then exit "$ENDS"; fi
        while true; do sleep 0.05; done""",
}


def start(folder: Path, ends: str = "") -> tuple[subprocess.Popen, Path]:
    """The script, and what happens in it; ``torchrun`` ends with a code, or goes on."""
    text = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    [script] = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL)
    for name, body in COMMANDS.items():
        command = folder / name
        command.write_text(f"#!/bin/bash\n{body}\n")
        command.chmod(0o755)
    events = folder / "events"
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}", "EVENTS": str(events), "ENDS": ends,
        "SLURM_JOB_ID": "77", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "one,two",
    }  # fmt: skip
    process = subprocess.Popen(["bash", "-c", script], env=environment)
    while not (events.exists() and "torchrun" in events.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    return process, events


def test_a_time_limit_stops_the_run_and_queues_it_again_once_it_has_saved(tmp_path):
    process, events = start(tmp_path)
    process.send_signal(signal.SIGUSR1)
    process.wait(60)
    first, *then = events.read_text().splitlines()
    assert "--nnodes=2" in first
    assert "--rdzv_endpoint=one:29500" in first
    assert then == ["scancel --signal=TERM 77", "saved", "requeue 77"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_ends_by_itself_is_not_queued_again(tmp_path, code):
    process, events = start(tmp_path, ends=str(code))
    assert process.wait(60) == code
    [only] = events.read_text().splitlines()
    assert only.startswith("torchrun ")
