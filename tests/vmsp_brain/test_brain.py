"""The gradient step against oracles made of plain separate backward passes."""

import copy
from functools import partial

import pytest
import torch
from small_models import small_encoder, small_objectives
from speechbrain import Stage
from torch import Tensor
from torchjd.aggregation import MoDoWeighting

from vmsp_brain.batches import MultilingualBatch
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.hierarchy import hierarchy_in_order
from vmsp_brain.manifests import text_key
from vmsp_brain.penalties import LinearPenalty

GAMMA = 0.05
PENALTIES = [LinearPenalty(0.1), LinearPenalty(0.3)]
VOCABULARY = 20


def make_brain(order: str, languages: list[str], pairs: list[str], **run_opts) -> VMSPBrain:
    torch.manual_seed(0)
    objectives = small_objectives(languages, pairs, vocab_size=VOCABULARY)
    hierarchy = hierarchy_in_order(
        order, objectives, PENALTIES, MoDoWeighting(gamma=GAMMA, rho=0.1)
    )
    brain = VMSPBrain(
        modules={"encoder": small_encoder(), "objectives": objectives},
        hierarchy=hierarchy,
        tokenizers={},
        hparams={
            "seed": 5,
            "encoder_opt_class": partial(torch.optim.SGD, lr=0.01),
            "head_opt_class": partial(torch.optim.SGD, lr=0.01),
            "encoder_lr_schedule": lambda optimizer: None,
            "head_lr_schedule": lambda optimizer: None,
        },
        run_opts={"device": "cpu", "max_grad_norm": 1e9, **run_opts},
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
                if objective.name != "ssl":
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
    gradients = {}
    brain._seed(brain.epoch, brain.step + 1)  # SSL alone draws random numbers here
    for draw, sources in enumerate(batch.draws):
        for name, objective in modules.objectives.items():
            modules.zero_grad(set_to_none=True)
            objective.begin_step(brain.optimizer_step)
            part = sources[objective.source]
            objective.loss(objective.encode(modules.encoder, part), part).backward()
            gradients[draw, name] = {
                key: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                for key, p in modules.named_parameters()
            }
    return gradients


def project_onto_simplex(vector: Tensor) -> Tensor:
    """By bisection on the threshold, unlike TorchJD's."""
    low, high = vector.min() - 1, vector.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (vector - middle).clamp(min=0).sum() > 1 else (low, middle)
    return (vector - high).clamp(min=0)


def oracle_step(
    brain: VMSPBrain, gradients: dict, lambdas: list[Tensor]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The update and the new λ by the formulas of the paper."""
    shared = [key for key in gradients[0, "ssl"] if key.startswith("encoder.")]
    heads = [key for key in gradients[0, "ssl"] if not key.startswith("encoder.")]

    def row(draw: int, name: str) -> Tensor:
        return torch.cat([gradients[draw, name][key].flatten() for key in shared]).double()

    update = {key: torch.zeros_like(gradients[0, "ssl"][key]) for key in shared}
    new_lambdas = []
    multiplier = 1.0
    for level, names in enumerate(brain.hierarchy.names):
        if level > 0:
            multiplier *= PENALTIES[level - 1](brain.epoch)
        gramian = torch.stack([torch.stack([row(0, a) @ row(1, b) for b in names]) for a in names])
        old = lambdas[level].double()
        new = project_onto_simplex(old - GAMMA * (gramian @ old + 0.1 * old))
        new_lambdas.append(new)
        for name, weight in zip(names, new, strict=True):
            for key in shared:
                mean = (gradients[0, name][key] + gradients[1, name][key]) / 2
                update[key] += float(multiplier * weight) * mean
    for key in heads:
        update[key] = sum(gradients[d, n][key] for d, n in gradients) / 2
    return update, new_lambdas


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    scale = torch.stack([value.norm() for value in expected.values()]).max()
    for key, value in expected.items():
        error = (found[key] - value).norm()
        assert error <= 1e-5 * value.norm() + 1e-7 * scale, (key, error, value.norm())


CASES = [
    ("UAS", ["en", "fr", "de"], ["fr-en", "de-en"]),
    ("USA", ["en", "fr", "de"], ["fr-en", "de-en"]),
    ("UAS", ["fr", "de"], ["fr-en", "fr-de", "de-en"]),
    ("USA", ["en", "fr"], ["fr-en"]),
]


@pytest.mark.parametrize(("order", "languages", "pairs"), CASES)
def test_gradients_and_lambda_are_those_of_separate_backward_passes(order, languages, pairs):
    brain = make_brain(order, languages, pairs)
    lambdas = list(brain.hierarchy.lambdas)
    for epoch, seeds in [(1, (1, 2)), (7, (3, 4))]:
        brain.on_stage_start(Stage.TRAIN, epoch)
        batch = make_batch(brain, *seeds)
        gradients = oracle_gradients(brain, batch)
        expected, lambdas = oracle_step(brain, gradients, lambdas)
        assert_close(step_gradients(brain, batch), expected)
        for found, value in zip(brain.hierarchy.lambdas, lambdas, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
    spread = max(float(values.max() - values.min()) for values in brain.hierarchy.lambdas)
    assert spread > 0.01, "γ is too small for λ to tell anything"


@pytest.mark.parametrize("changed", [0, 1])
def test_each_draw_changes_the_update(changed: int):
    seeds = [1, 2]
    reference = make_brain("UAS", ["en", "fr"], ["fr-en"])
    before = step_gradients(reference, make_batch(reference, *seeds))
    seeds[changed] = 9
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    after = step_gradients(brain, make_batch(brain, *seeds))
    for name in before:
        if before[name].norm() > 0:
            assert not torch.allclose(before[name], after[name]), name
    assert not torch.equal(reference.hierarchy.lambdas[0], brain.hierarchy.lambdas[0])


def test_accumulation_averages_the_rows_over_the_micro_batches():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], grad_accumulation_factor=2)
    brain.step = 0
    batches = [make_batch(brain, 1, 2), make_batch(brain, 3, 4)]
    gradients = {}
    for batch in batches:
        for key, value in oracle_gradients(brain, batch).items():
            total = gradients.setdefault(key, {k: torch.zeros_like(v) for k, v in value.items()})
            for name in value:
                total[name] += value[name] / 2
        brain.step += 1
    brain.step = 0
    expected, lambdas = oracle_step(brain, gradients, brain.hierarchy.lambdas)
    assert_close(step_gradients(brain, *batches), expected)
    torch.testing.assert_close(brain.hierarchy.lambdas[0], lambdas[0], rtol=1e-5, atol=1e-7)


def test_a_gradient_scaler_changes_neither_lambda_nor_the_unscaled_update():
    plain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    expected = step_gradients(plain, make_batch(plain))
    scaled = make_brain("UAS", ["en", "fr"], ["fr-en"])
    scaled.scaler = torch.GradScaler("cpu", init_scale=1024.0)
    found = step_gradients(scaled, make_batch(scaled))
    assert_close({name: value / 1024 for name, value in found.items()}, expected)
    assert scaled.lambdas() == pytest.approx(plain.lambdas(), rel=1e-6)


def test_one_encoder_forward_serves_all_objectives_of_a_source():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en", "fr-de"])
    calls = []
    brain.modules.encoder.register_forward_hook(lambda *_: calls.append(1))
    step_gradients(brain, make_batch(brain))
    assert len(calls) == 2 * 2  # draws x languages; SSL calls the encoder's halves


def test_a_step_moves_the_encoder_and_every_head():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    brain.step += 1
    brain.fit_batch(make_batch(brain))
    still = {name for name, p in brain.modules.named_parameters() if torch.equal(before[name], p)}
    trainable = {name for name, p in brain.modules.named_parameters() if p.requires_grad}
    assert brain.optimizer_step == 1
    # A key's bias shifts all attention scores alike, and unseen tokens have no gradient.
    assert not {name for name in still & trainable if "emb" not in name and "bias" not in name}


def test_a_non_finite_gradient_is_named_and_left_out(caplog):
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], nonfinite_patience=1)
    brain.nonfinite_count = 0
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    lambdas = brain.lambdas()
    batch = make_batch(brain)
    batch.draws[1]["fr"].sig.data[0, 100] = float("nan")
    brain.step += 1
    brain.fit_batch(batch)
    assert all(torch.equal(before[name], p) for name, p in brain.modules.named_parameters())
    assert brain.lambdas() == lambdas
    assert "asr/fr, st/fr-en is not finite" in caplog.text
    assert "asr/en" not in caplog.text
    brain.step += 1
    with pytest.raises(ValueError, match="patience is exhausted"):
        brain.fit_batch(batch)


def test_checkpoints_wait_until_the_rows_are_used():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], grad_accumulation_factor=2)
    brain.checkpointer, brain.ckpt_interval_steps = object(), 1
    brain.step = 1  # not a multiple of 2: gradients are only collected
    brain.fit_batch(make_batch(brain))
    assert brain.rows.pending
    assert not brain._should_save_intra_epoch_ckpt(0.0, 5)
    brain.step = 2
    brain.fit_batch(make_batch(brain))
    assert brain._should_save_intra_epoch_ckpt(0.0, 5)
