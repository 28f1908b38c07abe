"""What the benchmark of a step's cost compares are steps of training, each of its kind."""

import itertools

import pytest
import torch

from tests.benchmarks import step_cost
from tests.benchmarks.step_cost import (
    LANGUAGES,
    MANY_UTTERANCES,
    OBJECTIVES,
    STEPS,
    in_turns,
    make_batch,
)

VARIANTS = {**STEPS, **LANGUAGES[f"an exact step, {MANY_UTTERANCES} utterances"], **OBJECTIVES}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer layers of the same kind, narrow."""
    for name, value in {
        "BLOCKS": 8,
        "D_MODEL": 8,
        "D_FFN": 8,
        "CHANNELS": 4,
        "SECONDS": 0.3,
    }.items():
        monkeypatch.setattr(step_cost, name, value)


@pytest.fixture
def brains(monkeypatch) -> list:
    """Every Brain that is made."""
    made, make = [], step_cost.make_brain

    def make_and_note(*given):
        made.append(make(*given))
        return made[-1]

    monkeypatch.setattr(step_cost, "make_brain", make_and_note)
    return made


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_moves_every_layer_and_head(name, brains):
    variant = VARIANTS[name]
    step = variant.make(variant.objectives)
    [brain] = brains
    parts = {**brain.gradient.parameters, **brain.heads}
    before = {part: [p.detach().clone() for p in own] for part, own in parts.items()}
    for _ in range(variant.steps):
        step(make_batch(variant.objectives, utterances=10))
    moved = {part for part, own in parts.items() if not all(map(torch.equal, own, before[part]))}
    assert moved == set(parts)


def test_ratios_are_free_of_what_slows_the_machine():
    """A machine on which every reading is longer than the one before it, evenly."""
    steps, slowness = {"base": 1.0, "half": 0.5, "double": 2.0}, itertools.count(1.0, 0.3)
    found = in_turns(lambda name: steps[name] * next(slowness), list(steps), "base", rounds=3)
    assert {name: of["time_ratio"] for name, of in found.items()} == pytest.approx(steps)
