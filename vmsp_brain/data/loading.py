"""From an experiment's manifests to the datasets and batches that it trains and is tested on."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.manifests import (
    labelled_dataset,
    manifest_path,
    merged,
    read_manifest,
    unlabelled_dataset,
    unlabelled_manifest,
)
from vmsp_brain.data.passes import Batching, DynamicBatches, FixedBatches, tempered
from vmsp_brain.data.samplers import EvaluationSampler, MultilingualSampler, steps_of_one_pass
from vmsp_brain.data.text import NORMALIZED
from vmsp_brain.data.tokenizers import Tokenizer
from vmsp_brain.data.wav_augment import slowest

UNLABELLED = "unlabelled"
"""The source of audio without text, which joins the corpus's audio in the batches for SSL."""


Utterances = Mapping[str, Mapping[str, dict]]
"""By language, then by ID."""


@dataclass
class Data:
    """A dataset and the DataLoader's keyword arguments for it."""

    dataset: Dataset
    loader_kwargs: dict[str, Any]


def load_data(hparams: Mapping[str, Any], tokenizers: Mapping[str, Tokenizer]) -> dict[str, Data]:
    """Data of the splits train, dev and test.

    Training batches hold two draws of every language and of all audio (for SSL), of which
    ``unlabelled_ratio`` is from ``unlabelled_folders`` if there are any. Dev batches hold
    one language, or all audio without its text, test batches one language. What no objective
    learns from is left out.

    Raises
    ------
    ValueError
        If utterances are longer than the encoder takes, or two share an ID; if audio is to be
        cached by processes that end with an epoch; or if nothing learns from unlabelled audio.

    Example
    -------
    >>> from speechbrain.dataio.dataloader import make_dataloader
    >>> from vmsp_brain.data.vocabularies import load_tokenizers
    >>> from vmsp_brain.run.experiment_file import ExperimentFile
    >>> hparams = ExperimentFile("results/mini/hyperparams.yaml", {}).load()
    >>> train = load_data(hparams, load_tokenizers(hparams))["train"]
    >>> batch = next(iter(make_dataloader(train.dataset, **train.loader_kwargs)))
    >>> [list(draw) for draw in batch.draws]
    [['en', 'fr', 'ssl'], ['en', 'fr', 'ssl']]
    """
    _check_cache(hparams)
    train = read_manifests(hparams, "train")
    dev = read_manifests(hparams, "dev")
    test = read_manifests(hparams, "test")
    longest = hparams["encoder"].max_seconds
    for split, utterances in (("dev", dev), ("test", test)):
        _check_durations(utterances, split, longest)
    _check_durations(train, "train", longest * slowest(hparams.get("wav_augment")))
    heard = {source for each in hparams["objectives"].values() for source in each.sources}
    self_supervised = "ssl" in heard
    if hparams["unlabelled_folders"] and not self_supervised:
        raise ValueError(
            f"unlabelled_folders: found {hparams['unlabelled_folders']}, but no objective learns "
            "from audio alone. Leave it out, or train the objective ssl too."
        )
    unlabelled = _read_unlabelled(hparams) if self_supervised else {}
    pooled = {"train": train, "dev": dev} if self_supervised else {"train": {}, "dev": {}}
    ssl = {split: merged(spoken) for split, spoken in pooled.items()}
    train, dev, test = (_only(heard, split) for split in (train, dev, test))
    audio = {"ssl": ssl["train"], UNLABELLED: unlabelled}
    audio = {source: utterances for source, utterances in audio.items() if utterances}
    process = {"rank": 0, "world_size": 1}
    if torch.distributed.is_initialized():
        process = {
            "rank": torch.distributed.get_rank(),
            "world_size": torch.distributed.get_world_size(),
        }
    batching = _batching(hparams, _durations({**train, **audio}))
    labelled = [batching[language] for language in train]
    train_sampler = MultilingualSampler(
        batching,
        steps=steps_of_one_pass(labelled, process["world_size"]),
        seed=hparams["seed"],
        curriculum_epochs=hparams.get("curriculum_epochs", 0),
        **process,
    )
    dev_durations = _durations({**dev, **({"ssl": ssl["dev"]} if ssl["dev"] else {})})
    dev_sampler = EvaluationSampler(dev_durations, hparams["valid_batch_size"], **process)
    test_sampler = EvaluationSampler(_durations(test), hparams["valid_batch_size"], **process)
    return {
        "train": _data(hparams, tokenizers, train, train_sampler, ssl["train"], unlabelled),
        "dev": _data(hparams, tokenizers, dev, dev_sampler, ssl["dev"]),
        "test": _data(hparams, tokenizers, test, test_sampler),
    }


def _only(
    heard: Container[str], utterances: Mapping[str, dict[str, dict]]
) -> dict[str, dict[str, dict]]:
    return {language: spoken for language, spoken in utterances.items() if language in heard}


def _batching(
    hparams: Mapping[str, Any], durations: Mapping[str, Sequence[float]]
) -> dict[str, Batching]:
    """How each source is cut into training batches: languages, their audio, unlabelled audio."""
    languages = [language for language in hparams["languages"] if language in durations]
    hours = {language: sum(durations[language]) / 3600 for language in languages}
    dynamic = hparams["dynamic_batching"]
    key = "max_batch_length" if dynamic else "batch_size"
    sizes = tempered(hours, hparams[key], hparams["sampling_temperature"])
    sizes["ssl"] = hparams[f"ssl_{key}"] if "ssl" in durations else 0
    if UNLABELLED in durations:
        ratio = hparams["unlabelled_ratio"]
        sizes[UNLABELLED] = ratio * sizes["ssl"] if dynamic else round(ratio * sizes["ssl"])
        if not 0 < sizes[UNLABELLED] <= sizes["ssl"]:
            raise ValueError(
                f"unlabelled_ratio: found {ratio}, expected more than 0 and at most 1, and so much "
                f"that it makes at least one of the {sizes['ssl']} utterances (ssl_{key})."
            )
        sizes["ssl"] -= sizes[UNLABELLED]
    sizes = {source: size for source, size in sizes.items() if size > 0}
    if dynamic:
        options = hparams["num_buckets"], hparams["max_batch_ex"]
        return {
            source: DynamicBatches(durations[source], size, *options)
            for source, size in sizes.items()
        }
    return {
        source: FixedBatches(len(durations[source]), max(1, round(size)), durations[source])
        for source, size in sizes.items()
    }


def _data(
    hparams: Mapping[str, Any],
    tokenizers: Mapping[str, Tokenizer],
    utterances: Utterances,
    sampler: Sampler,
    ssl: Mapping[str, dict] | None = None,
    unlabelled: Mapping[str, dict] | None = None,
) -> Data:
    sources = {}
    for language, spoken in utterances.items():
        targets = {
            name: tokenizer
            for name, tokenizer in tokenizers.items()
            if language in hparams["objectives"][name].sources
        }
        sources[language] = labelled_dataset(spoken, targets, hparams["cache_audio"])
    for source, audio in (("ssl", ssl), (UNLABELLED, unlabelled)):
        if audio:
            sources[source] = unlabelled_dataset(audio, hparams["cache_audio"])
    twice = _compared(hparams) if isinstance(sampler, MultilingualSampler) else set()
    loader_kwargs = {
        "batch_sampler": sampler,
        "collate_fn": partial(MultilingualBatch, twice=twice) if twice else MultilingualBatch,
        "num_workers": hparams["num_workers"],
    }
    return Data(MultilingualDataset(sources, {UNLABELLED: "ssl"}), loader_kwargs)


def _compared(hparams: Mapping[str, Any]) -> set[str]:
    """Sources of which an objective compares two views."""
    found = {
        objective.source
        for objective in hparams["objectives"].values()
        if getattr(objective, "consistency_weight", 0)
    }
    if found and not hparams["encoder"].augments:
        raise ValueError(
            "consistency_weight: found more than 0, but the encoder augments nothing: both views "
            "of an utterance would be the same. Give it one, as hparams/cr_ctc.yaml does."
        )
    return found


def _read_unlabelled(hparams: Mapping[str, Any]) -> dict[str, dict]:
    if not hparams["unlabelled_folders"]:
        return {}
    return read_manifest(unlabelled_manifest(hparams["output_folder"]), "")


def read_manifests(hparams: Mapping[str, Any], split: str) -> dict[str, dict[str, dict]]:
    """A split's utterances by language, then by ID."""
    how = hparams["data_folder"], hparams.get("asr_text", NORMALIZED)
    folder = hparams["manifest_folder"]
    return {
        language: read_manifest(manifest_path(folder, language, split), *how)
        for language in hparams["languages"]
    }


def _check_cache(hparams: Mapping[str, Any]) -> None:
    if hparams["cache_audio"] and hparams["num_workers"]:
        raise ValueError(
            f"cache_audio: found True with num_workers: {hparams['num_workers']}, processes that "
            "read audio and forget it after an epoch. Give --num_workers=0 or --cache_audio=False."
        )


def _check_durations(utterances: Utterances, split: str, max_seconds: float) -> None:
    for language, seconds in _durations(utterances).items():
        too_long = sum(duration > max_seconds for duration in seconds)
        if too_long:
            raise ValueError(
                f"{language}, {split}: {too_long} utterances are longer than the "
                f"{max_seconds:.1f} s that the encoder takes (at the slowest of the speeds of "
                f"wav_augment, if there are any), the longest is of {max(seconds):.1f} s. Lower "
                "max_duration (training rows), remove the rows from the corpus (others), or take "
                "another encoder."
            )


def _durations(utterances: Utterances) -> dict[str, list[float]]:
    return {
        language: [utterance["duration"] for utterance in spoken.values()]
        for language, spoken in utterances.items()
    }
