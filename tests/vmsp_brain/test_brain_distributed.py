"""Two processes on one machine (gloo) against what one process computes by the same formulas.

λ comes from the mean of the processes' Gramians: each is an unbiased estimate of E[J(ξ1) J(ξ2)^T],
so their mean is one too, with less variance. (It is not the Gramian of the mean rows, which would
need the rows themselves to be exchanged.)
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from speechbrain import Stage
from speechbrain.utils.distributed import ddp_init_group
from torch import Tensor, nn

from tests.helpers.oracles import (
    assert_close,
    lambdas_of,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.method.hierarchy import Level
from vmsp_brain.run.scores import Hypothesis

pytestmark = pytest.mark.slow

PROCESSES = 2
CASE = ("UAS", ["en", "fr", "de"], ["fr-en", "de-en"])
STEPS = 20
RATE = 0.01
"""`make_brain`'s learning rate."""


def in_processes(work: Callable, folder: Path, join: bool = True):
    """Run ``work(rank, folder)`` in processes that know of each other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return torch.multiprocessing.spawn(enter, (port, work, folder), nprocs=PROCESSES, join=join)


def enter(rank: int, port: int, work: Callable, folder: Path) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    ddp_init_group({"distributed_launch": True, "distributed_backend": "gloo"})
    work(rank, folder)
    torch.distributed.destroy_process_group()


def distributed_brain(order: str | list[Level] = CASE[0]) -> VMSPBrain:
    """A Brain that is one of several; all start from the first one's weights."""
    options = {"distributed_launch": True, "distributed_backend": "gloo"}
    brain = make_brain(order, *CASE[1:], **options)
    with torch.no_grad():
        for parameter in brain.modules.parameters():
            parameter += 0.01 * torch.distributed.get_rank()
    brain._wrap_distributed()
    return brain


def batch_of(brain: VMSPBrain, rank: int, step: int):
    return make_batch(brain, 1000 * rank + 2 * step, 1000 * rank + 2 * step + 1)


# ---------------------------------------------------------------- the formula, many steps long


def take_steps(rank: int, folder: Path) -> None:
    brain = distributed_brain()
    start = {name: p.detach().clone() for name, p in brain.modules.named_parameters()}
    sent, lambdas = [], []
    all_reduce = torch.distributed.all_reduce

    def counted(tensor: Tensor, *arguments, **options):
        sent[-1].append(tensor.numel())
        return all_reduce(tensor, *arguments, **options)

    torch.distributed.all_reduce = counted
    for step in range(STEPS):
        sent.append([])
        brain.step += 1
        brain.fit_batch(batch_of(brain, rank, step))
        lambdas.append([values.clone() for values in lambdas_of(brain)])
    end = {name: p.detach() for name, p in brain.modules.named_parameters()}
    torch.save((start, end, lambdas, sent), folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[tuple]:
    """By process: parameters before and after, λ and the messages of every step."""
    folder = tmp_path_factory.mktemp("runs")
    in_processes(take_steps, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


def test_lambda_and_parameters_are_the_same_in_all_processes_at_every_step(runs):
    (_, end, lambdas, _), (_, other_end, other_lambdas, _) = runs
    assert len(lambdas) == STEPS
    for values, others in zip(lambdas, other_lambdas, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(values, others, strict=True))
    assert all(torch.equal(value, other_end[name]) for name, value in end.items())
    assert not torch.equal(lambdas[0][0], lambdas[-1][0])


def test_parameters_after_many_steps_are_those_of_the_formula(runs):
    start, end, lambdas, _ = runs[0]
    brain = make_brain(*CASE)
    parameters = dict(brain.modules.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(start[name])
    current = lambdas_of(brain)
    for step in range(STEPS):
        gradients = []
        for rank in range(PROCESSES):
            brain._seed = seed_of(rank)
            gradients.append(oracle_gradients(brain, batch_of(brain, rank, step)))
        update, current = oracle_step(brain, gradients, current)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter -= RATE * update[name]
        brain.step += 1
        brain.optimizer_step += 1
    for found, expected in zip(lambdas[-1], current, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    change = {name: end[name] - start[name] for name in end}
    expected = {name: parameters[name].detach() - start[name] for name in end}
    total = torch.cat([value.flatten() for value in end.values()])
    error = torch.cat([(change[name] - expected[name]).flatten() for name in end])
    assert error.norm() < 1e-5 * total.norm()
    assert error.norm() < 1e-3 * torch.cat([v.flatten() for v in expected.values()]).norm()


def seed_of(rank: int) -> Callable:
    """As the Brain seeds the process of this rank."""

    def seed(*position: int) -> None:
        sequence = np.random.SeedSequence([5, rank, *position])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    return seed


def test_a_step_sends_the_gradient_once_and_a_few_numbers_besides(runs):
    start, _, lambdas, sent = runs[0]
    brain = make_brain(*CASE)
    trained = {name for name, p in brain.modules.named_parameters() if p.requires_grad}
    gradient = sum(value.numel() for name, value in start.items() if name in trained)
    gramians = sum(len(values) ** 2 for values in lambdas[0])
    for messages in sent:
        assert messages == [gramians, gradient]


# ---------------------------------------------------------------- constant weights: ordinary DDP


class Joint(nn.Module):
    """The sum of all losses, as a module that DDP can wrap."""

    def __init__(self, brain: VMSPBrain) -> None:
        super().__init__()
        self.encoder, self.objectives = brain.modules.encoder, brain.modules.objectives

    def forward(self, batch) -> Tensor:
        total = 0.0
        for draw in batch.draws:
            for objective in self.objectives.values():
                part = draw[objective.source]
                total += objective.loss(objective.encode(self.encoder, part), part) / 2
        return total


def compare_with_ddp(rank: int, folder: Path) -> None:
    brain = distributed_brain([Level(["*"], weights={"*": 1.0})])
    del brain.modules.objectives["ssl"]  # random masks
    brain.objectives_of.pop("ssl")
    batch = batch_of(brain, rank, 0)
    ddp = nn.parallel.DistributedDataParallel(Joint(brain), find_unused_parameters=True)
    ddp(batch).backward()
    expected = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in brain.modules.named_parameters()
    }
    brain.zero_grad(set_to_none=True)
    brain.modules.zero_grad()
    assert_close(step_gradients(brain, batch), expected)


def test_with_constant_weights_a_step_is_that_of_ordinary_ddp(tmp_path):
    in_processes(compare_with_ddp, tmp_path)


# ---------------------------------------------------------------- evaluation


def evaluate_a_share(rank: int, folder: Path) -> None:
    brain = distributed_brain()
    brain.tokenizers = {"asr/en": None, "asr/fr": None}
    brain.on_stage_start(Stage.VALID, 1)
    # Of three batches the first process has two; French is the second's alone.
    spoken = ["en", "fr", "en"][rank::PROCESSES]
    for number, language in enumerate(spoken):
        utterance = Hypothesis(f"{language}-{rank}-{number}", "a b", "a c")
        brain.evaluation.hypotheses[f"asr/{language}"].append(utterance)
        brain.evaluation.samples.setdefault(language, torch.full((3,), float(rank)))
        brain.evaluation.losses.add({f"asr/{language}": 1.0 + number})
    whole = brain.evaluation.joined()
    torch.save((whole.hypotheses, whole.samples, whole.losses.summary()), folder / str(rank))


def test_every_process_knows_the_whole_evaluation(tmp_path):
    in_processes(evaluate_a_share, tmp_path)
    for rank in range(PROCESSES):
        hypotheses, samples, losses = torch.load(tmp_path / str(rank), weights_only=False)
        ids = {name: [made.id for made in own] for name, own in hypotheses.items()}
        assert ids == {"asr/en": ["en-0-0", "en-0-1"], "asr/fr": ["fr-1-0"]}
        assert {language: float(wav[0]) for language, wav in samples.items()} == {"en": 0, "fr": 1}
        assert losses == {"asr/en": 1.5, "asr/fr": 1.0}


# ---------------------------------------------------------------- a process that dies


def die_or_go_on(rank: int, folder: Path) -> None:
    brain = distributed_brain()
    for step in range(10**6):
        if rank == 1 and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        brain.step += 1
        brain.fit_batch(batch_of(brain, rank, 0))


def test_when_a_process_is_killed_the_other_one_ends_with_a_message(tmp_path):
    context = in_processes(die_or_go_on, tmp_path, join=False)
    first, second = context.processes
    second.join(120)
    assert second.exitcode == -signal.SIGKILL
    killed = time.monotonic()
    first.join(60)
    assert first.exitcode == 1
    assert time.monotonic() - killed < 60
    report = Path(context.error_files[0]).read_bytes()
    assert b"all_reduce" in report
    assert b"Connection closed by peer" in report or b"Connection reset by peer" in report
