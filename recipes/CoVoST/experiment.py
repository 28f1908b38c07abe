"""What training and testing on CoVoST 2 share: from a YAML file to data and tokenizers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from covost_prepare import manifest_path, prepare_covost
from sentencepiece import SentencePieceProcessor
from torch.utils.data import Dataset

from vmsp_brain.batches import (
    EvaluationSampler,
    MultilingualBatch,
    MultilingualDataset,
    MultilingualSampler,
    steps_of_one_pass,
)
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.manifests import labelled_dataset, read_manifest, target_text, unlabelled_dataset
from vmsp_brain.tokenizers import load_tokenizer, train_tokenizer

Utterances = Mapping[str, Mapping[str, dict]]
"""By language, then by ID."""


@dataclass
class Data:
    """A dataset and the DataLoader's keyword arguments for it."""

    dataset: Dataset
    loader_kwargs: dict[str, Any]


def prepare(hparams: Mapping[str, Any]) -> None:
    """Manifests and tokenizers; what is there already is kept."""
    prepare_covost(
        hparams["data_folder"],
        hparams["manifest_folder"],
        hparams["languages"],
        hparams["pairs"],
        min_duration=hparams["min_duration"],
        max_duration=hparams["max_duration"],
        drop_faulty_evaluation_rows=hparams["drop_faulty_evaluation_rows"],
    )
    utterances = _read_manifests(hparams, "train")
    texts: dict[Path, list[str]] = {}
    for name in text_objectives(hparams):
        spoken = utterances[hparams["objectives"][name].source].values()
        targets = [target_text(name, utterance) for utterance in spoken]
        texts.setdefault(tokenizer_path(hparams, name), []).extend(filter(None, targets))
    for path, sentences in texts.items():
        vocab_size = hparams[f"{path.name.partition('_')[0]}_vocab_size"]
        train_tokenizer(path, sentences, vocab_size, hparams["token_type"])


def text_objectives(hparams: Mapping[str, Any]) -> list[str]:
    """The objectives that produce text: recognition and translation."""
    return [f"asr/{language}" for language in hparams["languages"]] + [
        f"st/{pair}" for pair in hparams["pairs"]
    ]


def load_tokenizers(hparams: Mapping[str, Any]) -> dict[str, SentencePieceProcessor]:
    """The tokenizer of every objective that produces text.

    Raises
    ------
    ValueError
        If a tokenizer has another size than the YAML file says.
    """
    tokenizers = {}
    for name in text_objectives(hparams):
        path = tokenizer_path(hparams, name)
        tokenizers[name] = load_tokenizer(path)
        key = f"{name.partition('/')[0]}_vocab_size"
        if tokenizers[name].vocab_size() != hparams[key]:
            raise ValueError(
                f"{path} has {tokenizers[name].vocab_size()} tokens, but {key} is {hparams[key]}. "
                f"Set {key} accordingly, or another tokenizer_folder to train a new one."
            )
    return tokenizers


def make_brain(
    hparams: Mapping[str, Any],
    tokenizers: Mapping[str, SentencePieceProcessor],
    run_opts: Mapping[str, Any],
) -> VMSPBrain:
    """The Brain that the experiment declares."""
    return VMSPBrain(
        modules=hparams["modules"],
        hierarchy=hparams["hierarchy"],
        tokenizers=tokenizers,
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )


def load_data(
    hparams: Mapping[str, Any], tokenizers: Mapping[str, SentencePieceProcessor]
) -> dict[str, Data]:
    """Data of the splits train, dev and test.

    Training batches hold two draws of every language and of all audio (for SSL). Dev batches hold
    one language, or all audio without its text, test batches one language.
    """
    train = _read_manifests(hparams, "train")
    dev = _read_manifests(hparams, "dev")
    test = _read_manifests(hparams, "test")
    labelled_sizes = {language: len(spoken) for language, spoken in train.items()}
    batch_sizes = dict.fromkeys(train, hparams["batch_size"])
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    train_sampler = MultilingualSampler(
        sizes={**labelled_sizes, "ssl": sum(labelled_sizes.values())},
        batch_sizes={**batch_sizes, "ssl": hparams["ssl_batch_size"]},
        steps=steps_of_one_pass(labelled_sizes, batch_sizes, processes),
        seed=hparams["seed"],
        rank=torch.distributed.get_rank() if torch.distributed.is_initialized() else 0,
        world_size=processes,
    )
    dev_sampler = EvaluationSampler(
        {**_durations(dev), "ssl": _durations({"ssl": _all_languages(dev)})["ssl"]},
        hparams["valid_batch_size"],
    )
    test_sampler = EvaluationSampler(_durations(test), hparams["valid_batch_size"])
    return {
        "train": _data(hparams, tokenizers, train, train_sampler, with_ssl=True),
        "dev": _data(hparams, tokenizers, dev, dev_sampler, with_ssl=True),
        "test": _data(hparams, tokenizers, test, test_sampler, with_ssl=False),
    }


def _data(
    hparams: Mapping[str, Any],
    tokenizers: Mapping[str, SentencePieceProcessor],
    utterances: Utterances,
    sampler,
    with_ssl: bool,
) -> Data:
    sources = {}
    for language, spoken in utterances.items():
        own = {
            name: tokenizer
            for name, tokenizer in tokenizers.items()
            if hparams["objectives"][name].source == language
        }
        sources[language] = labelled_dataset(spoken, own, hparams["cache_audio"])
    if with_ssl:
        sources["ssl"] = unlabelled_dataset(_all_languages(utterances), hparams["cache_audio"])
    loader_kwargs = {
        "batch_sampler": sampler,
        "collate_fn": MultilingualBatch,
        "num_workers": hparams["num_workers"],
    }
    return Data(MultilingualDataset(sources), loader_kwargs)


def _read_manifests(hparams: Mapping[str, Any], split: str) -> dict[str, dict[str, dict]]:
    return {
        language: read_manifest(
            manifest_path(hparams["manifest_folder"], language, split), hparams["data_folder"]
        )
        for language in hparams["languages"]
    }


def _all_languages(utterances: Utterances) -> dict[str, dict]:
    return {key: value for spoken in utterances.values() for key, value in spoken.items()}


def _durations(utterances: Utterances) -> dict[str, list[float]]:
    return {
        language: [utterance["duration"] for utterance in spoken.values()]
        for language, spoken in utterances.items()
    }


def tokenizer_path(hparams: Mapping[str, Any], name: str) -> Path:
    """Where the tokenizer of an objective is; translation may share one."""
    task, _, languages = name.partition("/")
    if task == "st" and hparams["st_vocabulary"] == "joint":
        languages = "joint"
    return Path(hparams["tokenizer_folder"]) / f"{task}_{languages}.model"
