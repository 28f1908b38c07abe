"""The tested model is a moving average of the trained one, also in a run that goes on."""

import math
from pathlib import Path

import pytest
import torch
from speechbrain import Stage
from speechbrain.utils.checkpoints import Checkpointer

from tests.helpers.oracles import make_batch, make_brain, make_items
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.run.evaluation import Evaluation

CASE = ("UAS", ["en", "fr"], ["fr-en"])
DECAY = 0.75


def averaging(folder: Path | None = None) -> VMSPBrain:
    checkpointer = None if folder is None else Checkpointer(folder)
    return make_brain(*CASE, hparams={"ema_decay": DECAY}, checkpointer=checkpointer)


def weights(modules: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in modules.named_parameters()}


def train(brain: VMSPBrain, *seeds: int) -> None:
    for seed in seeds:
        brain.step += 1
        brain.fit_batch(make_batch(brain, seed, seed + 100))


def test_after_every_step_the_average_is_that_of_the_formula():
    brain = averaging()
    expected = None
    for seed in (1, 2, 3):
        train(brain, seed)
        now = weights(brain.modules)
        average = expected or now  # after the first step
        expected = {n: DECAY * average[n] + (1 - DECAY) * now[n] for n in now}
        for name, value in weights(brain.tested).items():
            torch.testing.assert_close(value, expected[name], msg=name)
    assert any(not torch.equal(expected[name], now[name]) for name in now)


def test_evaluations_are_of_the_average():
    brain = averaging()
    train(brain, 1, 2)
    for parameter in brain.modules.parameters():
        parameter.data.fill_(math.nan)
    brain.evaluation = Evaluation({})
    items = [item for item in make_items(brain, 0, 1) if item[1] == "fr"]
    assert brain.evaluate_batch(MultilingualBatch(items), Stage.VALID).isfinite()
    assert not brain.tested.training, "no dropout, no augmentation"


def test_a_run_that_goes_on_has_both_and_averages_on(tmp_path):
    whole, first = averaging(), averaging(tmp_path)
    train(whole, 1, 2, 3)
    train(first, 1, 2)
    first.checkpointer.save_checkpoint()
    second = averaging(tmp_path)
    second.checkpointer.recover_if_possible()
    second.step = 2
    train(second, 3)
    for name in ("modules", "tested"):
        expected, found = weights(getattr(whole, name)), weights(getattr(second, name))
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, msg=f"{name} {key}")


def test_a_checkpoint_has_the_average_where_all_look_for_the_model(tmp_path):
    hparams = {"ema_decay": DECAY}
    encoder, objectives = (make_brain(*CASE).modules[n] for n in ("encoder", "objectives"))
    checkpointer = Checkpointer(tmp_path, {"encoder": encoder, "objectives": objectives})
    brain = make_brain(*CASE, hparams=hparams, checkpointer=checkpointer)
    train(brain, 1, 2)
    path = checkpointer.save_checkpoint().path
    saved = torch.load(path / "encoder.ckpt", weights_only=True)
    for name, value in weights(brain.tested.encoder).items():
        assert torch.equal(saved[name], value)
    trained = torch.load(path / "trained_weights.ckpt", weights_only=True)
    for name, value in weights(brain.modules).items():
        assert torch.equal(trained[name], value)


@pytest.mark.parametrize("hparams", [{}, {"ema_decay": None}])
def test_without_it_the_trained_model_is_tested_and_nothing_is_copied(hparams):
    brain = make_brain(*CASE, hparams=hparams)
    assert brain.tested is brain.modules
    assert brain.average is None


def test_training_is_the_same_with_and_without_it():
    plain, other = make_brain(*CASE), averaging()
    train(plain, 1, 2)
    train(other, 1, 2)
    expected = weights(plain.modules)
    assert all(torch.equal(value, expected[n]) for n, value in weights(other.modules).items())
