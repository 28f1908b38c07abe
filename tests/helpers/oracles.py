"""What a step must do, by plain separate forward and backward passes and the paper's formulas."""

import copy
import itertools
from collections.abc import Callable, Container, Mapping
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import torch
from speechbrain import Stage
from speechbrain.utils.checkpoints import Checkpointer
from torch import Tensor
from torchjd.aggregation import MoDoWeighting

from tests.helpers.small_models import small_encoder_of, small_objectives, small_ssl
from tests.helpers.tensors import DEVICE
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.method.hierarchy import Hierarchy, Level, hierarchy_in_order
from vmsp_brain.method.penalties import ConstantPenalty, LinearPenalty
from vmsp_brain.method.step import GradientStep
from vmsp_brain.names import text_key
from vmsp_brain.objectives.losses import encode

GAMMA = 0.05
PENALTIES = [LinearPenalty(0.1), LinearPenalty(0.3)]
ABOVE_LID = ConstantPenalty(1.0)
VOCABULARY = 20


def make_brain(
    order: str | list[Level],
    languages: list[str],
    pairs: list[str],
    encoder: str = "conformer",
    ssl: str = "wav2vec2",
    encoder_options: Mapping | None = None,
    gradient_step: Callable[..., GradientStep] = GradientStep,
    hparams: Mapping | None = None,
    checkpointer: Checkpointer | None = None,
    heads: Mapping | None = None,
    **run_opts,
) -> VMSPBrain:
    """A small Brain, its levels given by an order of the paper or one by one."""
    shared = small_encoder_of(encoder, **(encoder_options or {}))
    objectives = small_objectives(
        languages,
        pairs,
        vocab_size=VOCABULARY,
        ssl=partial(small_ssl, ssl, shared),
        **(heads or {}),
    )
    if isinstance(order, str):
        weighting = MoDoWeighting(gamma=GAMMA, rho=0.1)
        hierarchy = hierarchy_in_order(order, objectives, PENALTIES, weighting)
    else:
        hierarchy = Hierarchy(order, objectives)
    brain = VMSPBrain(
        modules={"encoder": shared, "objectives": objectives},
        hierarchy=hierarchy,
        tokenizers={},
        hparams={
            "seed": 5,
            "decode_every": 1,
            "valid_search": {},
            "test_search": {},
            "gradient_step": gradient_step,
            "encoder_opt_class": partial(torch.optim.SGD, lr=0.01),
            "head_opt_class": partial(torch.optim.SGD, lr=0.01),
            "encoder_lr_schedule": lambda optimizer, step: None,
            "head_lr_schedule": lambda optimizer, step: None,
            "tensorboard_logger": SimpleNamespace(writer=Mock()),
            **(hparams or {}),
        },
        run_opts={"device": str(DEVICE), "max_grad_norm": 1e9, **run_opts},
        checkpointer=checkpointer,
    )
    brain.init_optimizers()
    brain.modules.train()
    return brain


def make_items(brain: VMSPBrain, draw: int, seed: int) -> list[tuple[int, str, dict]]:
    rng = torch.Generator().manual_seed(seed)
    items = []
    for source, objectives in brain.objectives_of.items():
        for number in range(2):
            samples = 6000 + 1500 * number
            item = {"id": f"{source}{number}", "sig": torch.randn(samples, generator=rng)}
            for objective in objectives:
                if objective.name == "lid":
                    item["lid"] = torch.tensor([objective.languages.index(source)])
                elif objective.name != "ssl":
                    tokens = torch.randint(4, VOCABULARY, (2 + number,), generator=rng)
                    item |= {objective.name: tokens, text_key(objective.name): "text"}
            items.append((draw, source, item))
    return items


def make_batch(brain: VMSPBrain, first: int = 1, second: int = 2) -> MultilingualBatch:
    """A batch whose two draws come from these seeds."""
    return MultilingualBatch(make_items(brain, 0, first) + make_items(brain, 1, second))


def step_gradients(brain: VMSPBrain, *batches: MultilingualBatch) -> dict[str, Tensor]:
    """What the (micro-)batches leave in every parameter's ``.grad``, taken before the step."""
    seen = {}

    def remember() -> None:
        for name, parameter in brain.modules.named_parameters():
            seen[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        brain.optimizer_step += 1
        brain.zero_grad(set_to_none=True)

    brain.optimizers_step = remember
    for batch in batches:
        brain.step += 1
        brain.fit_batch(batch)
    return seen


def oracle_gradients(brain: VMSPBrain, batch: MultilingualBatch) -> dict[tuple[int, str], dict]:
    """For each draw and objective, its gradient by one forward and backward of its own."""
    modules = copy.deepcopy(brain.modules).train()
    parameters = dict(modules.named_parameters())
    batch.to(DEVICE)
    gradients = {}
    brain.seed_from(brain.epoch, brain.step + 1)  # SSL alone draws random numbers here
    for draw, sources in enumerate(batch.draws):
        for name, objective in modules.objectives.items():
            for parameter in parameters.values():
                parameter.grad = None
            objective.begin_step(brain.optimizer_step)
            for part in map(sources.get, objective.sources):
                loss = objective.loss(encode(modules.encoder, [objective], part), part)
                (loss / len(objective.sources)).backward()
            gradients[draw, name] = {
                key: torch.zeros_like(p) if p.grad is None else p.grad
                for key, p in parameters.items()
            }
    return gradients


def lambdas_of(brain: VMSPBrain) -> list[Tensor]:
    """Each level's λ."""
    return [level.lambdas for level in brain.hierarchy.levels]


def project_onto_simplex(vector: Tensor) -> Tensor:
    """By bisection on the threshold, unlike TorchJD's."""
    low, high = vector.min() - 1, vector.max()
    for _ in range(60):  # to double precision
        middle = (low + high) / 2
        low, high = (middle, high) if (vector - middle).clamp(min=0).sum() > 1 else (low, middle)
    return (vector - high).clamp(min=0)


def layer_of(brain: VMSPBrain) -> dict[str, str]:
    """The layer of each of the encoder's parameters, by their names in the Brain's modules."""
    names = {id(parameter): name for name, parameter in brain.modules.named_parameters()}
    layers = brain.modules.encoder.layers().items()
    return {names[id(p)]: layer for layer, module in layers for p in module.parameters()}


def oracle_step(
    brain: VMSPBrain,
    gradients_of_processes: list[dict],
    lambdas: list[Tensor],
    selected: Container[str] | None = None,
    updates_weights: bool = True,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The update and the new λ by the formulas of the paper.

    The Gramian is the mean of the processes' Gramians; the update is the mean of theirs. On layers
    that are not selected, each level is combined uniformly and its Gramian has no part in λ.
    """
    first = gradients_of_processes[0][0, "ssl"]
    layers = layer_of(brain)
    encoder = [key for key in first if key.startswith("encoder.")]
    shared = [key for key in encoder if selected is None or layers[key] in selected]
    heads = [key for key in first if not key.startswith("encoder.")]
    processes = len(gradients_of_processes)

    def rows(gradients: dict, draw: int, names: list[str]) -> Tensor:
        whole = [[gradients[draw, name][key].flatten().cpu() for key in shared] for name in names]
        return torch.stack([torch.cat([torch.zeros(0), *row]).double() for row in whole])

    update = {key: torch.zeros_like(value) for key, value in first.items()}
    new_lambdas = []
    multiplier = 1.0
    for number, level in enumerate(brain.hierarchy.levels):
        names = level.names
        if number > 0:
            multiplier *= [*PENALTIES, ABOVE_LID][number - 1](brain.epoch)
        gramian = torch.zeros(len(names), len(names), dtype=torch.float64)
        for gradients in gradients_of_processes:
            gramian += rows(gradients, 0, names) @ rows(gradients, 1, names).T / processes
        old = lambdas[number].double()
        new = project_onto_simplex(old - GAMMA * (gramian @ old + 0.1 * old))
        new = new if updates_weights else old
        new_lambdas.append(new)
        for name, weight in zip(names, new, strict=True):
            for gradients in gradients_of_processes:
                for draw, key in itertools.product((0, 1), encoder):
                    part = gradients[draw, name][key] / (2 * processes)
                    own = weight if key in shared else 1 / len(names)
                    update[key] += float(multiplier * own) * part
    for gradients in gradients_of_processes:
        for of_objective in gradients.values():
            for key in heads:
                update[key] += of_objective[key] / (2 * processes)
    return update, new_lambdas


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    scale = torch.stack([value.norm() for value in expected.values()]).max()
    for key, value in expected.items():
        error = (found[key] - value).norm()
        assert error <= 1e-5 * value.norm() + 1e-7 * scale, (key, error, value.norm())


def assert_steps_are_the_oracles(brain: VMSPBrain) -> None:
    """Gradients and λ of two steps, of an early epoch and a later one."""
    lambdas = lambdas_of(brain)
    for epoch, seeds in [(1, (1, 2)), (7, (3, 4))]:
        brain.on_stage_start(Stage.TRAIN, epoch)
        batch = make_batch(brain, *seeds)
        gradients = oracle_gradients(brain, batch)
        expected, lambdas = oracle_step(brain, [gradients], lambdas)
        assert_close(step_gradients(brain, batch), expected)
        for found, value in zip(lambdas_of(brain), lambdas, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
