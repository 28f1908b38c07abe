"""Two processes on one machine (gloo) against what one process computes by the same formulas.

λ comes from the mean of the processes' Gramians: each is an unbiased estimate of E[J(ξ1) J(ξ2)^T],
so their mean is one too, with less variance. It is not the Gramian of the mean rows, which would
need the rows themselves to be exchanged; sketched rows are small enough to be.
"""

import copy
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from speechbrain import Stage
from speechbrain.utils.distributed import ddp_init_group
from torch import Tensor, nn
from torchjd.aggregation import MoDoWeighting, RandomWeighting, UPGradWeighting
from torchjd.scalarization import GeometricMean

from tests.helpers.forked import START
from tests.helpers.oracles import (
    GAMMA,
    assert_close,
    lambdas_of,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from vmsp_brain import processes
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.method.hierarchy import Level
from vmsp_brain.method.loss_weighting import LossWeighting
from vmsp_brain.method.penalties import ConstantPenalty
from vmsp_brain.method.step import GradientStep
from vmsp_brain.run import checkpoints
from vmsp_brain.run.checkpoints import AtomicCheckpointer
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
    arguments = enter, (port, work, folder), PROCESSES, join
    return torch.multiprocessing.start_processes(*arguments, start_method=START)


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


def distributed_brain(order: str | list[Level] = CASE[0], **options) -> VMSPBrain:
    """A Brain that is one of several; all start from the first one's weights."""
    run_opts = {"distributed_launch": True, "distributed_backend": "gloo"}
    brain = make_brain(order, *CASE[1:], **options, **run_opts)
    with torch.no_grad():
        for parameter in brain.modules.parameters():
            parameter += 0.01 * torch.distributed.get_rank()
    brain._wrap_distributed()
    return brain


def count_messages() -> list[int]:
    """Gets the size of each all-reduce from now on, in numbers."""
    messages, all_reduce = [], torch.distributed.all_reduce

    def counted(tensor: Tensor, *arguments, **options):
        messages.append(tensor.numel())
        return all_reduce(tensor, *arguments, **options)

    torch.distributed.all_reduce = counted
    return messages


def batch_of(brain: VMSPBrain, rank: int, step: int):
    return make_batch(brain, 1000 * rank + 2 * step, 1000 * rank + 2 * step + 1)


# ---------------------------------------------------------------- the formula, many steps long


def take_steps(rank: int, folder: Path) -> None:
    brain = distributed_brain()
    start = {name: p.detach().clone() for name, p in brain.modules.named_parameters()}
    sent, lambdas = [], []
    messages = count_messages()
    for step in range(STEPS):
        messages.clear()
        brain.step += 1
        brain.fit_batch(batch_of(brain, rank, step))
        sent.append(list(messages))
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
            brain.seed_from = seed_of(rank)
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
    for messages in sent:  # and for each parameter, whether it has one
        assert messages == [gramians, len(trained), gradient]


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


# ---------------------------------------------------------------- what is not trained


def train_in_stages(brain: VMSPBrain) -> dict:
    """Three steps of self-supervision, then three of the rest, with AdamW and a parameter in a head
    that no loss reaches; parameters and the optimizer's state after each."""
    unreached = nn.Parameter(torch.ones(3))
    brain.modules.objectives["asr/en"].unreached = unreached
    brain.heads["asr/en"].append(unreached)
    brain.hparams.head_opt_class = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
    brain.init_optimizers()
    brain.seed_from = seed_of(0)
    after = {}
    for epoch in (1, 2):
        brain.on_stage_start(Stage.TRAIN, epoch)
        for step in range(3):
            brain.step += 1
            brain.fit_batch(batch_of(brain, 0, 10 * epoch + step))
        parameters = {name: p.detach().clone() for name, p in brain.modules.named_parameters()}
        heads = copy.deepcopy(brain.optimizers_dict["heads"].state_dict()["state"])
        after[epoch] = parameters, heads
    return after


def stages() -> list[Level]:
    return [
        Level(["asr/*", "st/*"], weights={"*": 1.0}, epochs=(2, None)),
        Level(["ssl"], penalty=ConstantPenalty(1.0), epochs=(1, 1)),
    ]


def train_in_stages_together(rank: int, folder: Path) -> None:
    torch.save(train_in_stages(distributed_brain(stages())), folder / f"{rank}.pt")


@pytest.mark.slow
def test_processes_leave_alone_what_one_process_leaves_alone(tmp_path):
    """Both read the same batches, so they take the steps of one."""
    in_processes(train_in_stages_together, tmp_path)
    alone = train_in_stages(make_brain(stages(), *CASE[1:]))
    start = dict(make_brain(stages(), *CASE[1:]).modules.named_parameters())
    for rank in range(PROCESSES):
        together = torch.load(tmp_path / f"{rank}.pt")
        for epoch, (parameters, optimizer) in alone.items():
            found, found_optimizer = together[epoch]
            assert all(torch.equal(found[name], value) for name, value in parameters.items())
            assert found_optimizer.keys() == optimizer.keys()
            for number, state in optimizer.items():
                assert found_optimizer[number]["step"] == state["step"]
        heads = {n for n in start if n.startswith(("objectives.asr", "objectives.st"))}
        assert all(torch.equal(together[1][0][name], start[name]) for name in heads)
        assert torch.equal(together[2][0]["objectives.asr/en.unreached"], torch.ones(3))


def average_gradients(rank: int, folder: Path) -> None:
    parameters = both, one, _, large = [nn.Parameter(torch.zeros(2, 3)) for _ in range(4)]
    both.grad = torch.full((2, 3), 1.0 + rank)
    one.grad = torch.full((2, 3), 4.0) if rank else None
    large.grad = torch.full((3, 2), 2.0 * rank).T  # in another order in memory
    memory = both.grad.data_ptr()
    processes.BUCKET_BYTES = 2 * both.grad.nbytes
    messages = count_messages()
    processes.average_gradients(parameters)
    assert both.grad.data_ptr() == memory
    assert messages == [len(parameters), 12, 6]  # two in the first bucket; nothing of ``none``
    torch.save([parameter.grad for parameter in parameters], folder / f"{rank}.pt")


@pytest.mark.slow
def test_no_gradient_counts_as_zero_and_stays_none_if_no_process_has_one(tmp_path):
    in_processes(average_gradients, tmp_path)
    for rank in range(PROCESSES):
        both, one, none, large = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(both, torch.full((2, 3), 1.5))
        assert torch.equal(one, torch.full((2, 3), 2.0))
        assert none is None
        assert torch.equal(large, torch.ones(2, 3))


# ---------------------------------------------------------------- weightings and sketches


def of_two_kinds() -> list[Level]:
    upper = Level(["asr/*"], UPGradWeighting())
    return [upper, Level(["s*"], MoDoWeighting(GAMMA, 0.1), ConstantPenalty(0.3))]


def one_level() -> list[Level]:
    return [Level(["*"], MoDoWeighting(GAMMA, 0.1))]


def find_lambdas(rank: int, folder: Path) -> None:
    at_random = distributed_brain([Level(["*"], RandomWeighting())])
    found = []
    for step in range(3):
        at_random.step += 1
        at_random.fit_batch(batch_of(at_random, rank, step))
        found.append(lambdas_of(at_random)[0])
    step = partial(GradientStep, sketch_size=10**6)  # columns for every parameter: nothing is lost
    sketched = distributed_brain(of_two_kinds(), gradient_step=step)
    if rank:  # a loss that is not finite is known in one process alone
        objective = sketched.modules.objectives["st/fr-en"]
        loss, broken = objective.loss, iter([1.0, 1.0, torch.nan])
        objective.loss = lambda frames, part: loss(frames, part) * next(broken, 1.0)
    sketched.nonfinite_count = 0
    for step in range(2):
        sketched.step += 1
        sketched.fit_batch(batch_of(sketched, rank, step))
        found += lambdas_of(sketched)
    directions = partial(GradientStep, lambda_from="directions")
    directed = distributed_brain(one_level(), gradient_step=directions)
    directed.step += 1
    directed.fit_batch(batch_of(directed, rank, 0))
    found += lambdas_of(directed)
    by_losses = distributed_brain([Level(["*"], LossWeighting(GeometricMean))])
    by_losses.step += 1
    by_losses.fit_batch(batch_of(by_losses, rank, 0))
    losses = by_losses.train_losses.summary()
    own = torch.tensor([losses[name] for name in by_losses.hierarchy.objectives]).double()
    found += [*lambdas_of(by_losses), own]
    torch.save(found, folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def found_lambdas(tmp_path_factory) -> list[list[Tensor]]:
    """By process: λ of three steps at random; of two sketched ones, by level; of one by directions;
    of losses, last."""
    folder = tmp_path_factory.mktemp("lambdas")
    in_processes(find_lambdas, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.slow
def test_random_weightings_draw_the_same_in_all_processes(found_lambdas):
    (first, second, third), others = found_lambdas[0][:3], found_lambdas[1][:3]
    assert all(torch.equal(a, b) for a, b in zip((first, second, third), others, strict=True))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


@pytest.mark.slow
def test_sketched_rows_are_averaged_so_the_gramians_are_of_the_mean_gradients(found_lambdas):
    brain = make_brain(of_two_kinds(), *CASE[1:])
    gradients = []
    for rank in range(PROCESSES):
        brain.seed_from = seed_of(rank)
        gradients.append(oracle_gradients(brain, batch_of(brain, rank, 0)))

    def mean_rows(draw: int, names: list[str]) -> Tensor:
        rows = [
            sum(encoder_row(of_process[draw, name]) for of_process in gradients) / PROCESSES
            for name in names
        ]
        return torch.stack(rows)

    upper, lower = brain.hierarchy.levels
    mean = (mean_rows(0, upper.names) + mean_rows(1, upper.names)) / 2
    expected = [
        UPGradWeighting()(mean @ mean.T),
        MoDoWeighting(GAMMA, 0.1)(mean_rows(0, lower.names) @ mean_rows(1, lower.names).T),
    ]
    for lambdas in found_lambdas:
        for found, value in zip(lambdas[3:5], expected, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_lets_lambda_rest_in_all(found_lambdas):
    for lambdas in found_lambdas:
        assert torch.equal(lambdas[4], lambdas[6])
        assert not torch.equal(lambdas[3], lambdas[5])
    here, there = found_lambdas
    assert all(torch.equal(a, b) for a, b in zip(here[3:7], there[3:7], strict=True))


@pytest.mark.slow
def test_directions_give_the_mean_of_the_processes_g_lambda(found_lambdas):
    brain = make_brain(one_level(), *CASE[1:])
    [level] = brain.hierarchy.levels
    gramians = []
    for rank in range(PROCESSES):
        brain.seed_from = seed_of(rank)
        gradients = oracle_gradients(brain, batch_of(brain, rank, 0))
        first, second = (
            torch.stack([encoder_row(gradients[draw, name]) for name in level.names])
            for draw in range(2)
        )
        gramians.append(second @ first.T)
    expected = MoDoWeighting(GAMMA, 0.1)(sum(gramians) / PROCESSES)
    assert not torch.equal(expected, level.lambdas)
    for lambdas in found_lambdas:
        torch.testing.assert_close(lambdas[7], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_weights_of_losses_are_those_of_the_mean_losses_in_all_processes(found_lambdas):
    (*_, here, losses), (*_, there, others) = found_lambdas
    assert torch.equal(here, there)
    assert not torch.equal(losses, others)
    expected = LossWeighting(GeometricMean).over(len(losses))((losses + others) / 2)
    torch.testing.assert_close(here, expected, rtol=1e-6, atol=0)


def encoder_row(gradients: dict[str, Tensor]) -> Tensor:
    parts = [g.flatten() for key, g in gradients.items() if key.startswith("encoder.")]
    return torch.cat(parts).double()


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


# ---------------------------------------------------------------- checkpoints


def save_twice(rank: int, folder: Path) -> None:
    def slowly(partial: Path, path: Path) -> None:
        time.sleep(0.5)
        partial.replace(path)

    checkpoints.put_in_place = slowly
    checkpointer = AtomicCheckpointer(folder / "save", {"model": nn.Linear(1, 1)})
    for _ in range(2):
        checkpointer.save_checkpoint()
        found = [checkpoint.path.name for checkpoint in checkpointer.list_checkpoints()]
        with (folder / str(rank)).open("a") as file:
            print(*sorted(found), file=file)


def test_every_process_finds_a_checkpoint_that_was_saved(tmp_path):
    """Else they do not agree on which to delete, and wait for each other for ever."""
    in_processes(save_twice, tmp_path)
    found = [(tmp_path / str(rank)).read_text() for rank in range(PROCESSES)]
    assert found[0] == found[1]
    assert [len(line.split()) for line in found[1].splitlines()] == [1, 2]


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
