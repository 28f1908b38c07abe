"""Two disjoint draws of every source in every step; every utterance once in evaluation."""

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from speechbrain.dataio.dataloader import SaveableDataLoader
from torch.utils.data import DataLoader

from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.passes import Batching, DynamicBatches, FixedBatches
from vmsp_brain.data.samplers import EvaluationSampler, MultilingualSampler, steps_of_one_pass

SIZES = {"en": 41, "fr": 26, "ssl": 60}
BATCH_SIZES = {"en": 3, "fr": 2, "ssl": 4}
HOURS = {"en": 430, "fr": 264, "de": 184, "ca": 136, "es": 113}
"""Of CoVoST 2's training sets."""


def fixed(sizes=SIZES) -> dict[str, Batching]:
    return {source: FixedBatches(size, BATCH_SIZES[source]) for source, size in sizes.items()}


def dynamic(sizes=SIZES) -> dict[str, Batching]:
    generator = np.random.default_rng(0)
    return {
        source: DynamicBatches(generator.uniform(1, 10, size), 20.0, 5, max_batch_ex=4)
        for source, size in sizes.items()
    }


def sampler(
    steps=20, seed=7, epoch=1, sizes=SIZES, rank=0, world_size=1, cut=fixed, curriculum=0
) -> MultilingualSampler:
    made = MultilingualSampler(cut(sizes), steps, seed, rank, world_size, curriculum)
    made.set_epoch(epoch)
    return made


both = pytest.mark.parametrize("cut", [fixed, dynamic])


def dataset() -> MultilingualDataset:
    return MultilingualDataset(
        {
            source: [
                {"id": f"{source}{i}", "sig": torch.full((1 + i % 3,), float(i))}
                for i in range(size)
            ]
            for source, size in SIZES.items()
        }
    )


def indices(batch, source: str) -> list[int]:
    return [index for _, found, index in batch if found == source]


@both
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_draws_of_a_step_share_no_utterance_in_any_process(world_size, cut):
    shares = [sampler(rank=rank, world_size=world_size, cut=cut) for rank in range(world_size)]
    for batches in zip(*shares, strict=True):
        keys = [key[1:] for batch in batches for key in batch]
        assert len(keys) == len(set(keys))


@both
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_process_gets_something_in_every_draw_of_every_source(world_size, cut):
    for rank in range(world_size):
        for batch in sampler(rank=rank, world_size=world_size, cut=cut):
            sizes = Counter((draw, source) for draw, source, _ in batch)
            assert set(sizes) == {(draw, source) for draw in (0, 1) for source in SIZES}
            if cut is fixed:
                assert all(size <= BATCH_SIZES[source] for (_, source), size in sizes.items())


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("source", SIZES)
def test_a_pass_sees_no_utterance_twice_and_leaves_fewer_than_one_per_draw(source, world_size):
    shares = [sampler(rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = 2 * world_size
    full, rest = divmod(SIZES[source], parts * BATCH_SIZES[source])
    steps_in_pass = full + (rest >= parts)
    steps = list(zip(*shares, strict=True))
    for start in range(0, len(steps) - steps_in_pass + 1, steps_in_pass):
        read = [
            index
            for batches in steps[start : start + steps_in_pass]
            for batch in batches
            for index in indices(batch, source)
        ]
        assert len(read) == len(set(read))
        assert SIZES[source] - len(read) < parts


def test_steps_of_one_pass_read_the_source_that_needs_most_once():
    sizes = {"en": 48, "fr": 12, "ssl": 16}  # en needs 8 steps, fr 3, ssl 2
    steps = steps_of_one_pass(fixed(sizes).values())
    assert steps == 8
    read = [index for batch in sampler(steps, sizes=sizes) for index in indices(batch, "en")]
    assert sorted(read) == list(range(48))
    assert steps_of_one_pass(fixed(sizes).values(), world_size=2) == 4


def test_a_curriculum_goes_from_short_to_long_in_its_epochs_alone():
    shares = [
        sampler(steps=5, epoch=2, rank=rank, world_size=2, cut=dynamic, curriculum=2)
        for rank in range(2)
    ]
    for source, cut in dynamic().items():
        longest = []
        for batches in zip(*shares, strict=True):
            drawn = [index for batch in batches for index in indices(batch, source)]
            assert len(drawn) == len(set(drawn))
            longest.append(max(cut.durations[index] for index in drawn))
        passes = 1 + sum(before > after for before, after in pairwise(longest))
        assert passes <= 1 + 5 // cut.steps(4), source
    resumed = islice(sampler(steps=5, epoch=2, cut=dynamic, curriculum=2), 3, None)
    assert list(resumed) == list(sampler(steps=5, epoch=2, cut=dynamic, curriculum=2))[3:]
    after = list(sampler(epoch=3, cut=dynamic, curriculum=2))
    assert after == list(sampler(epoch=3, cut=dynamic))


def test_a_small_source_starts_again_with_every_pass():
    sizes = {"en": 41, "fr": 4, "ssl": 60}  # fr: one step of 2 x 2 utterances is a pass
    for batch in sampler(sizes=sizes):
        assert sorted(indices(batch, "fr")) == [0, 1, 2, 3]


def test_draws_of_a_small_source_change_from_pass_to_pass():
    first_draws = {
        frozenset(index for draw, source, index in batch if (draw, source) == (0, "fr"))
        for batch in sampler(sizes={"en": 41, "fr": 4, "ssl": 60})
    }
    assert len(first_draws) > 1


@both
def test_order_is_a_function_of_seed_and_epoch(cut):
    expected = list(sampler(cut=cut))
    again = sampler(cut=cut)
    assert list(again) == expected
    assert list(again) == expected  # iterating changes nothing
    assert list(sampler(epoch=2, cut=cut)) != expected
    assert list(sampler(seed=8, cut=cut)) != expected


@both
def test_order_of_a_source_does_not_depend_on_the_others_sizes(cut):
    other_sizes = {**SIZES, "ssl": 100}
    for batch, other in zip(sampler(cut=cut), sampler(sizes=other_sizes, cut=cut), strict=True):
        assert indices(batch, "en") == indices(other, "en")


@both
@pytest.mark.parametrize("taken", [0, 1, 5, 19])
def test_skipping_batches_equals_continuing_after_them(taken, cut):
    running = iter(sampler(epoch=3, cut=cut))
    for _ in range(taken):
        next(running)
    assert list(islice(sampler(epoch=3, cut=cut), taken, None)) == list(running)


@both
def test_resuming_reads_none_of_the_audio_that_was_used_before(cut, tmp_path):
    class Watched(MultilingualDataset):
        def __init__(self):
            super().__init__(dataset().sources)
            self.read = []

        def __getitem__(self, key):
            self.read.append(key)
            return super().__getitem__(key)

    def loader(watched: Watched) -> SaveableDataLoader:
        keys = sampler(steps=8, epoch=2, cut=cut)
        return SaveableDataLoader(watched, batch_sampler=keys, collate_fn=MultilingualBatch)

    first = loader(Watched())
    batches = iter(first)
    for _ in range(5):
        next(batches)
    first._speechbrain_save(tmp_path / "position")
    watched = Watched()
    again = loader(watched)
    again._speechbrain_load(tmp_path / "position", end_of_epoch=False)
    assert sum(1 for _ in again) == 3
    expected = list(sampler(steps=8, epoch=2, cut=cut))[5:]
    assert watched.read == [key for batch in expected for key in batch]


@pytest.mark.parametrize(("kind", "utterances"), [("fixed", 200_000), ("dynamic", 30_000)])
def test_at_covosts_size(kind, utterances):
    """An epoch in CoVoST's proportions: draws, passes, coming back."""
    rng = np.random.default_rng(0)
    sizes = {source: utterances * hours // sum(HOURS.values()) for source, hours in HOURS.items()}
    sizes["ssl"] = sum(sizes.values())
    cut: dict[str, Batching] = {
        source: FixedBatches(size, 32)
        if kind == "fixed"
        else DynamicBatches(rng.gamma(9.0, 0.6, size).clip(0.7, 20.0), 170.0, 60, 128)
        for source, size in sizes.items()
    }
    steps = steps_of_one_pass([cut[language] for language in HOURS])
    made = MultilingualSampler(cut, steps, seed=1234)
    batches = list(made)
    passes = {source: set() for source in sizes}
    complete = Counter()
    for batch in batches:
        for source in sizes:
            drawn = indices(batch, source)
            assert len(drawn) == len(set(drawn))
            if not passes[source].isdisjoint(drawn):  # the next pass has begun
                assert sizes[source] - len(passes[source]) < 2
                complete[source] += 1
                passes[source] = set()
            passes[source].update(drawn)
    assert sizes["en"] - len(passes["en"]) < 2  # an epoch is a pass over the largest language
    assert complete["en"] == 0
    assert complete["es"] == 3  # of 113 hours against 430
    middle = len(batches) // 2
    assert list(islice(made, middle, middle + 3)) == batches[middle : middle + 3]


def test_length_is_the_number_of_steps():
    assert len(sampler(steps=5)) == len(list(sampler(steps=5))) == 5


@pytest.mark.parametrize(("size", "world_size"), [(1, 1), (3, 2), (5, 3)])
def test_a_source_too_small_for_the_draws_is_named(size, world_size):
    with pytest.raises(ValueError, match=rf"fr: {size} .* at least {2 * world_size}"):
        sampler(sizes={**SIZES, "fr": size}, world_size=world_size)


def test_the_smallest_possible_source_works():
    batches = list(sampler(sizes={**SIZES, "fr": 4}, world_size=2, rank=1))
    assert all(len(indices(batch, "fr")) == 2 for batch in batches)


def test_processes_share_the_evaluation_batches():
    durations = {source: [1.0] * size for source, size in SIZES.items()}
    whole = list(EvaluationSampler(durations, 2))
    shares = [list(EvaluationSampler(durations, 2, rank, world_size=3)) for rank in range(3)]
    assert sorted(batch for share in shares for batch in share) == sorted(whole)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluation_reads_every_utterance_once_one_source_per_batch(batch_size):
    generator = torch.Generator().manual_seed(0)
    durations = {s: torch.rand(n, generator=generator).tolist() for s, n in SIZES.items()}
    batches = list(EvaluationSampler(durations, batch_size))
    assert len(EvaluationSampler(durations, batch_size)) == len(batches)
    assert all(
        len({key[:2] for key in batch}) == 1 <= len(batch) <= batch_size for batch in batches
    )
    read = Counter(key for batch in batches for key in batch)
    assert read == Counter((0, source, i) for source, size in SIZES.items() for i in range(size))
    for source in SIZES:
        in_order = [durations[source][i] for batch in batches for i in indices(batch, source)]
        assert in_order == sorted(in_order, reverse=True)


def test_batch_groups_items_by_draw_and_source():
    items = [dataset()[key] for key in next(iter(sampler()))]
    batch = MultilingualBatch(items)
    assert len(batch.draws) == 2
    for draw, part in enumerate(batch.draws):
        assert set(part) == set(SIZES)
        for source, padded in part.items():
            expected = [item["id"] for d, s, item in items if (d, s) == (draw, source)]
            assert padded.id == expected


def test_batch_pads_each_part_to_its_own_longest():
    long, short = {"sig": torch.ones(9)}, {"sig": torch.ones(2)}
    batch = MultilingualBatch([(0, "en", long), (0, "fr", short), (1, "en", short)])
    shapes = [{s: tuple(p.sig.data.shape) for s, p in draw.items()} for draw in batch.draws]
    assert shapes == [{"en": (1, 9), "fr": (1, 2)}, {"en": (1, 2)}]


def test_batch_moves_all_its_parts():
    items = [dataset()[key] for key in next(iter(sampler()))]
    batch = MultilingualBatch(items).to(torch.float64)
    assert isinstance(batch, MultilingualBatch)
    assert all(p.sig.data.dtype == torch.float64 for draw in batch.draws for p in draw.values())


def test_batch_holds_items_that_are_all_empty():
    """A draw in which no utterance has the translation."""
    empty = {"st/fr-en": torch.tensor([], dtype=torch.long)}
    tokens, lengths = MultilingualBatch([(0, "fr", empty), (0, "fr", empty)]).draws[0]["fr"][
        "st/fr-en"
    ]
    assert tokens.numel() == 0 or not lengths.any()


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_batches_travel_through_the_data_loader(num_workers):
    keys = sampler(steps=3)
    loader = DataLoader(
        dataset(), batch_sampler=keys, collate_fn=MultilingualBatch, num_workers=num_workers
    )
    assert len(loader) == 3
    for batch, expected in zip(loader, keys, strict=True):
        for draw, part in enumerate(batch.draws):
            for source, padded in part.items():
                numbers = [i for d, s, i in expected if (d, s) == (draw, source)]
                assert padded.id == [f"{source}{number}" for number in numbers]
                assert padded.sig.data[:, 0].tolist() == numbers


def test_batches_travel_through_speechbrains_saveable_data_loader():
    keys = sampler(steps=3)
    loader = SaveableDataLoader(dataset(), batch_sampler=keys, collate_fn=MultilingualBatch)
    found = [batch.draws[1]["fr"].id for batch in loader]
    assert found == [[f"fr{i}" for d, s, i in batch if (d, s) == (1, "fr")] for batch in keys]


def test_dataset_is_as_long_as_its_sources_together():
    assert len(dataset()) == sum(SIZES.values())
    assert dataset()[(1, "fr", 5)][2]["id"] == "fr5"
