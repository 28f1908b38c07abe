"""A training that is stopped wherever it is goes on, and ends as if nothing had happened."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import SpeedPerturb
from speechbrain.utils.epoch_loop import EpochCounter
from torch.utils.data import Dataset

from tests.helpers.oracles import VOCABULARY, make_brain
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data import wav_augment
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.data.passes import FixedBatches
from vmsp_brain.data.samplers import EvaluationSampler, MultilingualSampler
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.step import GradientStep
from vmsp_brain.names import text_key
from vmsp_brain.run.checkpoints import AtomicCheckpointer

EPOCHS = 2
STEPS = 3
UTTERANCES = 6


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """No heat maps of conflicts."""
    for name in ("draw_conflicts", "draw_conflicts_by_layer"):
        monkeypatch.setattr(f"vmsp_brain.watch.monitor.{name}", lambda *_: Mock())


class Noise(Dataset):
    """Utterances of noise for every source of a Brain."""

    def __init__(self, brain: VMSPBrain) -> None:
        self.names = {
            source: [objective.name for objective in objectives if objective.name != "ssl"]
            for source, objectives in brain.objectives_of.items()
        }

    def __getitem__(self, key: tuple[int, str, int]) -> tuple[int, str, dict]:
        draw, source, index = key
        rng = torch.Generator().manual_seed(index)
        item = {"id": f"{source}{index}", "sig": torch.randn(6000, generator=rng)}
        for name in self.names[source]:
            tokens = torch.randint(4, VOCABULARY, (3,), generator=rng)
            item |= {name: tokens, text_key(name): "text"}
        return draw, source, item


def changed_by_chance() -> Augmenter:
    """In half of the batches another speed and noise."""
    speed, noise = SpeedPerturb(16_000, [90, 100, 110]), wav_augment.Noise("white")
    return Augmenter(augment_prob=0.5, min_augmentations=2, augmentations=[speed, noise])


def train(folder: Path, interrupt: Callable[[VMSPBrain], None] = lambda brain: None) -> VMSPBrain:
    """Train in a folder, or go on with what is in it."""
    counter = EpochCounter(EPOCHS)
    selection = LayerSelection(efficient=True, warm_up=1, threshold=2.0, max_layers=1)
    brain = make_brain(
        "UAS", ["en", "fr"], ["fr-en"],
        gradient_step=partial(GradientStep, selection=selection, measure_every=1),
        hparams={
            "output_folder": folder, "checkpoints_to_keep": 2, "train_logger": Mock(),
            "valid_search": {}, "test_search": {}, "wav_augment": {"augment": changed_by_chance()},
        },
        checkpointer=AtomicCheckpointer(folder / "save", {"epoch_counter": counter}),
        noprogressbar=True,
    )  # fmt: skip
    for name in ("encoder", "objectives"):
        brain.checkpointer.add_recoverable(name, brain.modules[name])
    interrupt(brain)
    sources = list(brain.objectives_of)
    batching = {source: FixedBatches(UTTERANCES, 1) for source in sources}
    data, collate = Noise(brain), {"collate_fn": MultilingualBatch}
    train_batches = MultilingualSampler(batching, steps=STEPS, seed=0)
    valid_batches = EvaluationSampler({source: [1.0] * 2 for source in sources}, 1)
    brain.fit(
        counter, data, data,
        train_loader_kwargs={**collate, "batch_sampler": train_batches},
        valid_loader_kwargs={**collate, "batch_sampler": valid_batches},
    )  # fmt: skip
    return brain


def asked_in(method: str, call: int, number: signal.Signals) -> Callable[[VMSPBrain], None]:
    """The signal comes at the end of this call of a method of the Brain."""
    calls = iter(range(1, call + 1))

    def interrupt(brain: VMSPBrain) -> None:
        original = getattr(brain, method)

        def interrupted(*arguments, **options):
            done = original(*arguments, **options)
            if next(calls, None) == call:
                signal.raise_signal(number)
            return done

        setattr(brain, method, interrupted)

    return interrupt


def outcome(brain: VMSPBrain) -> dict:
    """All that a training leaves, and all that it logged of its last epoch."""
    logged = brain.hparams.train_logger.log_stats.call_args
    return {
        "parameters": {**brain.modules.state_dict(), **brain.hierarchy.state_dict()},
        "logged": logged.kwargs,
        "selected": brain.gradient.selection.selected,
        "position": (brain.step, brain.optimizer_step),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """What a training ends with that nothing stopped."""
    return outcome(train(tmp_path_factory.mktemp("undisturbed")))


VALIDATION = 6
"""Batches of a validation: two of each source."""


@pytest.mark.parametrize(
    ("method", "call", "number", "where"),
    [
        ("fit_batch", 1, signal.SIGTERM, "epoch 1, step 1"),
        ("fit_batch", STEPS, signal.SIGINT, "epoch 1, step 3"),
        ("fit_batch", STEPS + 2, signal.SIGTERM, "epoch 2, step 2"),
        ("evaluate_batch", 1, signal.SIGINT, "the validation of epoch 1"),
        (
            "evaluate_batch",
            VALIDATION,
            signal.SIGTERM,
            "the validation of epoch 1",
        ),
        (
            "evaluate_batch",
            VALIDATION + 3,
            signal.SIGTERM,
            "the validation of epoch 2",
        ),
        ("primary_metric", 1, signal.SIGTERM, "epoch 1"),
    ],
)
def test_it_ends_bit_identical(undisturbed, tmp_path, caplog, method, call, number, where):
    steps = []

    def count(brain: VMSPBrain) -> None:
        brain.on_fit_batch_end = lambda *_: steps.append(brain.optimizer_step)

    def count_and_interrupt(brain: VMSPBrain) -> None:
        count(brain)
        asked_in(method, call, number)(brain)

    with pytest.raises(SystemExit) as ended:
        train(tmp_path, count_and_interrupt)
    assert ended.value.code == 128 + number
    [line] = [message for message in caplog.messages if message.startswith("Stopped by")]
    assert f" in {where}; a checkpoint was saved. Give the same command to go on." in line
    assert_equal(outcome(train(tmp_path, count)), undisturbed)
    assert steps == list(range(1, EPOCHS * STEPS + 1)), "no step is taken twice"


def assert_equal(found: dict, expected: dict) -> None:
    parameters = found.pop("parameters"), expected["parameters"]
    assert parameters[0].keys() == parameters[1].keys()
    different = [
        name
        for name, value in parameters[1].items()
        if torch.is_tensor(value) and not torch.equal(value, parameters[0][name])
    ]
    assert not different
    assert found == {key: value for key, value in expected.items() if key != "parameters"}


def test_only_checkpoints_of_whole_epochs_are_left(tmp_path):
    brain = train(tmp_path)
    kept = brain.checkpointer.list_checkpoints()
    assert sorted(checkpoint.meta["epoch"] for checkpoint in kept) == [1, 2]


def test_the_handlers_are_taken_over_in_fit_and_evaluate_alone(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def look(brain: VMSPBrain) -> None:
        assert signal.getsignal(signal.SIGTERM) == before
        brain.on_fit_batch_end = lambda *_: seen.append(signal.getsignal(signal.SIGTERM))
        brain.on_evaluate_start = lambda **_: seen.append(signal.getsignal(signal.SIGTERM))

    brain = train(tmp_path, look)
    assert signal.getsignal(signal.SIGTERM) == before
    assert len(seen) == EPOCHS * STEPS
    brain.checkpointer = None
    batches = EvaluationSampler({"en": [1.0]}, 1)
    loader = {"batch_sampler": batches, "collate_fn": MultilingualBatch}
    brain.evaluate(Noise(brain), test_loader_kwargs=loader)
    assert signal.getsignal(signal.SIGTERM) == before
    assert set(seen) == {brain.termination._note}
    assert len(seen) == EPOCHS * STEPS + 1
