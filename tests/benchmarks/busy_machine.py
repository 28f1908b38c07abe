#!/usr/bin/env python3
"""How a training of mini.yaml's size gets on beside other work.

    python tests/benchmarks/busy_machine.py

takes steps for some seconds, alone and beside two processes that never rest: with the threads that
the commands choose, and with libgomp's defaults, a thread per CPU that spins while it waits. A fair
share is the CPU time that one of these processes gets meanwhile, whatever else the machine does;
the last column says how many of the steps are taken that this time is worth, by what a step costs
alone. (With the defaults a step may take minutes, on a machine that is busy already.)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vmsp_brain import threads

ROOT = Path(__file__).parents[2]
BUSY = 2
UTTERANCES, SECONDS, TOKENS = 2, 3.0, 15
"""Of each language, in each draw."""

POLICIES = {
    "as the commands choose": {},
    "libgomp's defaults": {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": str(threads.cpus())},
}


def take_steps(seconds: float, beside: int) -> None:
    """A process: trains mini.yaml's model on noise; prints its steps, CPU time and time."""
    threads.set_wait_policy()
    import torch

    from vmsp_brain.brain import VMSPBrain
    from vmsp_brain.data.batches import MultilingualBatch
    from vmsp_brain.names import text_key
    from vmsp_brain.run.experiment_file import ExperimentFile

    with tempfile.TemporaryDirectory() as folder:
        paths = {"output_folder": folder, "data_folder": folder}
        hparams = ExperimentFile(str(ROOT / "hparams" / "mini.yaml"), paths).load()
        brain = VMSPBrain(hparams["modules"], hparams["hierarchy"], {}, hparams, {"device": "cpu"})
        brain.init_optimizers()
        threads.set_number(brain.modules)
        items = []
        for source, objectives in [*brain.objectives_of.items()] * UTTERANCES:
            item = {"id": "", "sig": torch.randn(round(16_000 * SECONDS))}
            for objective in objectives:
                item[objective.name] = torch.randint(4, 80, (TOKENS,))
                item[text_key(objective.name)] = "text"
            items += [(draw, source, item) for draw in (0, 1)]
        batch = MultilingualBatch(items)
        brain.optimizer_step = 1  # not one whose norms are shown
        brain.fit_batch(batch)  # not timed: first uses
        words = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(words) for _ in range(beside)]
        steps, cpu, start = 0, time.process_time(), time.monotonic()
        while time.monotonic() - start < seconds:
            brain.step += 1
            brain.fit_batch(batch)
            steps += 1
        taken = {"cpu": time.process_time() - cpu, "seconds": time.monotonic() - start}
        print(json.dumps({"steps": steps, "others": cpu_times(others), **taken}))


def cpu_times(processes: list[subprocess.Popen]) -> list[float]:
    """End processes; the CPU time that each of them got."""
    for process in processes:
        process.kill()
    return [os.wait4(process.pid, 0)[2].ru_utime for process in processes]


def measure(policy: dict[str, str], seconds: float, beside: int) -> dict[str, Any]:
    """What a training does under a policy, beside so many processes that never rest."""
    given = {key: value for key, value in os.environ.items() if "OMP_" not in key}
    words = [sys.executable, __file__, "--take_steps", str(seconds), str(beside)]
    done = subprocess.run(words, env={**given, **policy}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--take_steps", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.take_steps:
        seconds, beside = arguments.take_steps
        take_steps(float(seconds), int(beside))
        return
    print(f"| {threads.cpus()} CPUs | steps/s alone | CPU s a step | beside {BUSY} | of fair |")
    print("|---|---|---|---|---|", flush=True)
    for name, policy in POLICIES.items():
        alone, busy = (measure(policy, arguments.seconds, beside) for beside in (0, BUSY))
        cost = alone["cpu"] / alone["steps"]
        fair = sum(busy["others"]) / BUSY / cost
        rates = [f"{found['steps'] / found['seconds']:.2f}" for found in (alone, busy)]
        row = name, rates[0], f"{cost:.2f}", rates[1], f"{busy['steps'] / fair:.2f}"
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
