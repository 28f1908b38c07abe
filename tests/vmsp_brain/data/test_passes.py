"""How a source is cut: passes, durations, padding, temperature."""

import math
from itertools import pairwise

import numpy as np
import pytest

from vmsp_brain.data.passes import Batching, DynamicBatches, FixedBatches, tempered

DURATIONS = np.random.default_rng(0).gamma(9.0, 0.6, 500).clip(0.7, 20.0)
"""As of CoVoST's clips, in seconds."""


def dynamic(length=60.0, buckets=20, most=64, durations=DURATIONS) -> DynamicBatches:
    return DynamicBatches(durations, length, buckets, most)


def one_pass(batching: Batching, parts: int = 2, seed: int = 0, ascending=False) -> list:
    return list(batching.one_pass(np.random.default_rng(seed), parts, ascending))


def flat(steps: list) -> list[int]:
    return [index for step in steps for batch in step for index in batch]


CUTS = [
    FixedBatches(500, 16, DURATIONS),
    FixedBatches(500, 7),
    dynamic(),
    dynamic(length=20.0),
    dynamic(most=3),
]
in_both_orders = pytest.mark.parametrize("ascending", [False, True])


@in_both_orders
@pytest.mark.parametrize("batching", CUTS)
@pytest.mark.parametrize("parts", [1, 2, 6, 16])
def test_a_pass_has_every_utterance_once_but_for_fewer_than_one_per_part(
    batching, parts, ascending
):
    read = flat(one_pass(batching, parts, ascending=ascending))
    assert len(read) == len(set(read)) > 500 - parts
    assert set(read) <= set(range(500))


@in_both_orders
@pytest.mark.parametrize("batching", CUTS)
@pytest.mark.parametrize("parts", [1, 2, 6, 16])
def test_every_step_has_a_batch_for_every_part(batching, parts, ascending):
    steps = one_pass(batching, parts, ascending=ascending)
    assert all(len(step) == parts and all(len(batch) for batch in step) for step in steps)
    assert batching.steps(parts) - 1 <= len(steps) <= batching.steps(parts)


@in_both_orders
@pytest.mark.parametrize("batching", CUTS)
def test_passes_are_random_and_come_from_the_generator_alone(batching, ascending):
    def batches(seed: int) -> list[list[int]]:
        steps = one_pass(batching, seed=seed, ascending=ascending)
        return [list(batch) for step in steps for batch in step]

    first, again, other = (batches(seed) for seed in (0, 0, 1))
    assert first == again != other
    assert sorted(flat([first])) == sorted(flat([other]))


@pytest.mark.parametrize("batching", [FixedBatches(500, 16, DURATIONS), dynamic()])
@pytest.mark.parametrize("parts", [1, 2, 6])
def test_an_ascending_pass_goes_from_the_shortest_to_the_longest(batching, parts):
    def longest(ascending: bool) -> list[list[float]]:
        steps = one_pass(batching, parts, ascending=ascending)
        return [[max(DURATIONS[batch]) for batch in step] for step in steps]

    ascending = longest(ascending=True)[:-1]  # but for what is left
    assert len(ascending) > 2
    assert all(max(step) <= max(following) for step, following in pairwise(ascending))
    assert ascending[0] < longest(ascending=False)[0]


@pytest.mark.parametrize(("length", "most"), [(60.0, 64), (20.0, 64), (60.0, 5)])
@pytest.mark.parametrize("parts", [1, 2, 16])
def test_dynamic_batches_are_no_longer_than_they_may_be(length, most, parts):
    for step in one_pass(dynamic(length, most=most), parts):
        for batch in step:
            assert len(batch) * DURATIONS[batch].max() <= length
            assert len(batch) <= most


def test_an_utterance_that_is_too_long_is_a_batch_of_its_own():
    batching = dynamic(length=5.0, durations=[1.0, 30.0, 1.0, 1.0])
    assert [1] in [list(batch) for step in one_pass(batching) for batch in step]


def test_dynamic_batches_have_little_padding():
    def padding(batching: Batching) -> float:
        batches = [np.asarray(batch) for step in one_pass(batching) for batch in step]
        padded = sum(len(batch) * DURATIONS[batch].max() for batch in batches)
        return padded / DURATIONS[np.concatenate(batches)].sum() - 1

    assert padding(dynamic()) < 0.1 < 0.5 < padding(FixedBatches(500, 16))


@in_both_orders
@pytest.mark.parametrize("batching", [FixedBatches(500, 16, DURATIONS), dynamic()])
def test_both_draws_are_alike(batching, ascending):
    """What a draw is, long utterances or short ones, does not depend on which draw it is."""
    passes = [one_pass(batching, seed=seed, ascending=ascending) for seed in range(40)]
    steps = [step for own in passes for step in own]
    first, second = (np.array([DURATIONS[step[draw]].mean() for step in steps]) for draw in (0, 1))
    error = np.std(first - second) / math.sqrt(len(steps))
    assert abs(np.mean(first - second)) < 4 * error


def test_too_few_utterances_make_no_step():
    for batching in (FixedBatches(3, 2), dynamic(durations=[1.0, 2.0, 3.0])):
        assert one_pass(batching, parts=4) == []
        assert len(flat(one_pass(batching, parts=3))) == 3


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0, math.inf])
def test_how_often_a_language_is_read_follows_from_its_temperature(temperature):
    hours = {"en": 430.0, "fr": 264.0, "es": 113.0}
    lengths = tempered(hours, 170.0, temperature)
    assert lengths["en"] == 170.0
    steps = hours["en"] / lengths["en"]  # of an epoch
    for language, amount in hours.items():
        times_read = steps * lengths[language] / amount
        assert times_read == pytest.approx((430 / amount) ** (1 - 1 / temperature))


@pytest.mark.parametrize("value", [0, -1])
def test_wrong_values_are_named(value):
    with pytest.raises(ValueError, match=f"batch_size: found {value}, expected 1 or more"):
        FixedBatches(10, value)
    with pytest.raises(ValueError, match=f"sampling_temperature: found {value}"):
        tempered({"en": 1.0}, 32, value)
    with pytest.raises(ValueError, match=f"batch_size or max_batch_length: found {value}"):
        tempered({"en": 1.0}, value, 1)
    for arguments in ((value, 5, 5), (5.0, value, 5), (5.0, 5, value)):
        with pytest.raises(ValueError, match=f"max_batch_length, num_buckets.*found .*{value}"):
            DynamicBatches([1.0], *arguments)
