"""Idle threads sleep, and are as many as the CPUs, a quota and the model's size allow."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.helpers.commands import ROOT
from vmsp_brain import threads

COMMANDS = [
    ROOT / "recipes" / "CoVoST" / "train.py",
    ROOT / "recipes" / "minimal" / "train.py",
    *(ROOT / "vmsp_brain" / "commands" / f"{name}.py" for name in ("evaluate", "transcribe")),
]

SLEEPS = """
import runpy, sys, threading
from pathlib import Path
sys.argv = [sys.argv[1], "--help"]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
try:
    runpy.run_path(sys.argv[0], run_name="__main__")  # the command itself
except SystemExit:
    pass
import torch
torch.set_num_threads(2)
tensor = torch.ones(100_000)
for _ in range(300):
    tensor.exp_()  # a kernel of two threads, at whose end one waits
    tensor.fill_(0.0)
own = {str(threading.get_native_id())}
tasks = [task for task in Path("/proc/self/task").iterdir() if task.name not in own]
sleeps = [line.split()[1] for task in tasks for line in (task / "status").open()
          if line.startswith("voluntary")]
print("sleeps", max(map(int, sleeps)))
"""


def sleeps(command: Path, **settings: str) -> int:
    """How often a command's second thread went to sleep, beside a busy process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        done = subprocess.run(
            [sys.executable, "-c", SLEEPS, str(command)],
            env={**environment, **settings},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        busy.kill()
        busy.wait()
    return int(done.stdout.rpartition("sleeps ")[2])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel how often a thread slept")
def test_idle_threads_of_a_command_sleep_unless_the_user_says_otherwise():
    assert sleeps(COMMANDS[0]) > 100
    assert sleeps(COMMANDS[0], OMP_WAIT_POLICY="active") < 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_command_with_a_model_sets_the_policy_before_it_imports_anything_else(command: Path):
    before, called, _ = command.read_text(encoding="utf-8").partition("threads.set_wait_policy()")
    imported = [line for line in before.splitlines() if line.startswith(("import", "from"))]
    others = {line.split()[1].partition(".")[0] for line in imported} - sys.stdlib_module_names
    assert called and others == {"vmsp_brain"}
    assert imported[-1] == "from vmsp_brain import threads"


@pytest.mark.parametrize("given", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_a_policy_that_is_given_stays(monkeypatch, given):
    monkeypatch.delitem(sys.modules, "torch")
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(given, "7")
    threads.set_wait_policy()
    found = {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    assert {name for name, value in found.items() if value} == {given}
    monkeypatch.delenv(given)
    threads.set_wait_policy()
    assert os.environ.pop("OMP_WAIT_POLICY") == "passive"


def test_once_pytorch_is_loaded_nothing_is_set(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    threads.set_wait_policy()
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.fixture
def machine(monkeypatch):
    """Sets what the system says: CPUs, those of the affinity, files of cgroups."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)

    def is_such(cpus: int = 64, affinity: int = 64, **files: str) -> None:
        paths = {f"/sys/fs/cgroup/{name}": text for name, text in files.items()}
        module = sys.modules["joblib.externals.loky.backend.context"]
        monkeypatch.setattr(os, "cpu_count", lambda: cpus)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)))
        monkeypatch.setattr(os.path, "exists", lambda path: path in paths)
        opened = lambda path: contextlib.closing(io.StringIO(paths[path]))  # noqa: E731
        monkeypatch.setattr(module, "open", opened, raising=False)

    yield is_such
    torch.set_num_threads(before)


V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(
    ("found", "cpus"),
    [
        ({}, 64),
        ({"affinity": 3}, 3),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        (dict(zip(V1, ("400000\n", "100000\n"), strict=True)), 4),
        (dict(zip(V1, ("-1\n", "100000\n"), strict=True)), 64),
        ({"affinity": 8, "cpu.max": "500000 100000\n"}, 5),
    ],
)
def test_affinity_and_quotas_count(machine, found, cpus):
    machine(**found)
    assert threads.cpus() == cpus


class Model(nn.Module):
    """One of so many parameters that takes no memory."""

    def __init__(self, millions: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(round(millions * 1e6), device="meta"))


@pytest.mark.parametrize(
    ("millions", "found", "processes", "number"),
    [
        (0.9, {}, 1, 1),
        (14, {}, 1, 1),
        (83, {}, 1, 4),
        (300, {}, 1, 15),
        (300, {"affinity": 8}, 1, 8),
        (300, {"affinity": 8}, 4, 2),
        (300, {"affinity": 2}, 4, 1),
        (300, {"cpu.max": "200000 100000"}, 1, 2),
    ],
)
def test_threads_are_as_many_as_help_and_fit(
    machine, monkeypatch, millions, found, processes, number
):
    machine(**found)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    said = threads.set_number(Model(millions))
    assert torch.get_num_threads() == number
    assert said.startswith(f"Threads: {number}, for {millions:.1f} M parameters; CPUs: ")


def test_the_number_that_is_given_stays(machine, monkeypatch):
    machine()
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    said = threads.set_number(Model(300))
    assert torch.get_num_threads() == 2
    assert said == "Threads: 2, as OMP_NUM_THREADS says; CPUs: 64."
