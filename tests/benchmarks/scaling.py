#!/usr/bin/env python3
"""What a second process gains, and what it costs: strong and weak scaling, without GPUs.

    python -m tests.benchmarks.scaling

prints a table and writes results/scaling.json. An exact step of the model and the objectives of
`step_cost`, by one process, by two that share its utterances (strong), and by two that have as many
each (weak): one thread each, talking by gloo. They take turns step by step, so that what else the
machine does falls on all alike; figures are medians over the rounds. Needs two idle cores. Before
it sends, a process waits for the other one: that is told apart from what sending takes.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from speechbrain.utils.distributed import ddp_init_group
from torch import Tensor
from tqdm import tqdm

from tests.benchmarks.step_cost import PAPER, UTTERANCES, make_batch, make_encoder, vmsp


@dataclass
class Way:
    """A number of processes, and the utterances of all languages together that each has."""

    processes: int
    utterances: int


def ways(utterances: int) -> dict[str, Way]:
    """What is compared, by name, the base first."""
    return {
        "1 process": Way(1, utterances),
        "2 processes, strong": Way(2, utterances // 2),
        "2 processes, weak": Way(2, utterances),
    }


class Messages:
    """In place of ``torch.distributed.all_reduce``: notes what is sent, and how long it takes."""

    def __init__(self) -> None:
        self._all_reduce = torch.distributed.all_reduce
        self.clear()
        torch.distributed.all_reduce = self

    def clear(self) -> None:
        """Start again."""
        self.bytes, self.waiting, self.sending = 0, 0.0, 0.0

    def __call__(self, tensor: Tensor) -> None:
        """Wait for the others, then send."""
        start = time.perf_counter()
        torch.distributed.barrier()
        ready = time.perf_counter()
        self._all_reduce(tensor)
        self.sending += time.perf_counter() - ready
        self.waiting += ready - start
        self.bytes += tensor.nbytes


def take_steps(connection: Connection, way: Way, rank: int, port: int) -> None:
    """A process: takes a step when it is asked to, and tells what it took."""
    torch.set_num_threads(1)
    if way.processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
        os.environ |= {"WORLD_SIZE": str(way.processes), "MASTER_PORT": str(port)}
        ddp_init_group({"distributed_launch": True, "distributed_backend": "gloo"})
    messages = Messages()
    step, batch = vmsp(PAPER), make_batch(PAPER, way.utterances)
    step(make_batch(PAPER, len(set(PAPER.values()))))  # not timed: first uses, optimizers' state
    connection.send(None)
    while connection.recv():
        messages.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        step(batch)
        found = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        connection.send({**found, **{key: getattr(messages, key) for key in MESSAGES}})


MESSAGES = ["bytes", "waiting", "sending"]


def start(way: Way) -> list[Connection]:
    """The processes of a way, ready for their first step."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.step_cost", "torch._dynamo"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    connections = []
    for rank in range(way.processes):
        connection, other = context.Pipe()
        given = (other, way, rank, port)
        context.Process(target=take_steps, args=given, daemon=True).start()
        connections.append(connection)
    for connection in connections:
        connection.recv()
    return connections


def one_step(connections: Sequence[Connection]) -> dict[str, float]:
    """What a step of these processes took: the mean over them."""
    for connection in connections:
        connection.send(True)
    found = [connection.recv() for connection in connections]
    return {key: statistics.mean(each[key] for each in found) for key in found[0]}


def measure(compared: dict[str, Way], rounds: int) -> dict[str, dict[str, float]]:
    """By way: a step's medians, and the throughput of all its processes beside the first way's."""
    running = {name: start(way) for name, way in tqdm(compared.items(), "models")}
    steps: dict[str, list[dict]] = {name: [] for name in compared}
    for _ in tqdm(range(rounds), "rounds"):
        for name, connections in running.items():
            steps[name].append(one_step(connections))
    for connection in (each for connections in running.values() for each in connections):
        connection.send(False)
    base_name = next(iter(compared))
    report = {}
    for name, way in compared.items():
        more = way.processes * way.utterances / compared[base_name].utterances
        pairs = list(zip(steps[base_name], steps[name], strict=True))
        report[name] = {
            **{key: statistics.median(step[key] for step in steps[name]) for key in steps[name][0]},
            "throughput": statistics.median(more * a["seconds"] / b["seconds"] for a, b in pairs),
            "per_cpu": statistics.median(
                more * a["cpu_seconds"] / (way.processes * b["cpu_seconds"]) for a, b in pairs
            ),
            "share": statistics.median(step["sending"] / step["seconds"] for step in steps[name]),
        }
    return report


def table(report: dict[str, dict[str, float]]) -> str:
    """In Markdown."""
    lines = [
        "| | s a step | CPU s of each | utterances/s | utterances/CPU s | sent, MB | sending | "
        "waiting |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {found['seconds']:.2f} | {found['cpu_seconds']:.2f} | "
        f"{found['throughput']:.2f} x | {found['per_cpu']:.2f} x | {found['bytes'] / 1e6:.1f} | "
        f"{found['share']:.1%} | {found['waiting'] / found['seconds']:.1%} |"
        for name, found in report.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--utterances", type=int, default=UTTERANCES, help="of one process's draw")
    parser.add_argument("--output", type=Path, default=Path("results/scaling.json"))
    arguments = parser.parse_args()
    parameters = sum(parameter.numel() for parameter in make_encoder().parameters())
    print(f"An encoder of {parameters / 1e6:.1f} M parameters, {arguments.utterances} utterances")
    report = measure(ways(arguments.utterances), arguments.rounds)
    print(table(report))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
