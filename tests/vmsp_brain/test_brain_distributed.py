"""Two processes on one machine (gloo) against the same formulas."""

import os
import socket
from pathlib import Path

import torch
from oracles import (
    assert_close,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from speechbrain.utils.distributed import ddp_init_group

PROCESSES = 2
CASE = ("UAS", ["en", "fr", "de"], ["fr-en", "de-en"])


def work(rank: int, port: int, folder: Path) -> None:
    """One process: its own draws, one step; saves what it found and its oracle gradients."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    options = {"distributed_launch": True, "distributed_backend": "gloo"}
    ddp_init_group(options)
    brain = make_brain(*CASE, **options)
    with torch.no_grad():
        for parameter in brain.modules.parameters():
            parameter += 0.01 * rank  # weights that differ, unless rank 0's are taken everywhere
    brain._wrap_distributed()
    batch = make_batch(brain, 10 * rank + 1, 10 * rank + 2)
    gradients = oracle_gradients(brain, batch)
    found = step_gradients(brain, batch)
    torch.save((gradients, found, brain.hierarchy.lambdas), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_take_the_same_step_by_the_mean_gramian_and_the_mean_update(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, tmp_path), nprocs=PROCESSES)
    saved = [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    gradients = [item[0] for item in saved]
    assert not torch.equal(  # the processes had draws of their own
        gradients[0][0, "asr/en"]["encoder.conformer.encoder.norm.norm.weight"],
        gradients[1][0, "asr/en"]["encoder.conformer.encoder.norm.norm.weight"],
    )
    brain = make_brain(*CASE)
    expected, lambdas = oracle_step(brain, gradients, brain.hierarchy.lambdas)
    for _, found, found_lambdas in saved:
        assert_close(found, expected)
        for value, first, oracle in zip(found_lambdas, saved[0][2], lambdas, strict=True):
            assert torch.equal(value, first)
            torch.testing.assert_close(value, oracle, rtol=1e-5, atol=1e-7)
