"""What training and testing on CoVoST 2 share: from a YAML file to data and tokenizers."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from covost_prepare import manifest_path, prepare_covost
from sentencepiece import SentencePieceProcessor
from torch.utils.data import Dataset
from unlabelled import prepare_unlabelled, unlabelled_manifest

from vmsp_brain.batches import (
    EvaluationSampler,
    MultilingualBatch,
    MultilingualDataset,
    MultilingualSampler,
    steps_of_one_pass,
)
from vmsp_brain.batching import Batching, DynamicBatches, FixedBatches, tempered
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.manifests import labelled_dataset, read_manifest, target_text, unlabelled_dataset
from vmsp_brain.tokenizers import load_tokenizer, train_tokenizer
from vmsp_brain.transfer import start_from_run

UNLABELLED = "unlabelled"
"""The source of audio without text, which joins the corpus's audio in the batches for SSL."""

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
        convert_audio=hparams["convert_audio"],
    )
    if hparams["unlabelled_folders"]:
        prepare_unlabelled(
            hparams["unlabelled_folders"],
            hparams["output_folder"],
            hparams["min_duration"],
            hparams["max_duration"],
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


def adopt_tokenizers(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: the earlier run's tokenizers, so that its heads keep their meaning.

    Raises
    ------
    FileNotFoundError
        If the earlier run has none.
    ValueError
        If other tokenizers are there already.
    """
    if not hparams["init_from"]:
        return
    folder = Path(hparams["init_from"])
    if (folder / "encoder.ckpt").is_file():
        folder = folder.parent.parent  # a checkpoint was given: <run>/save/<checkpoint>
    paths = {tokenizer_path(hparams, name) for name in text_objectives(hparams)}
    earlier = {path: folder / "tokenizers" / path.name for path in sorted(paths)}
    adopted = {path: source for path, source in earlier.items() if source.is_file()}
    if not adopted:
        raise FileNotFoundError(
            f"init_from: found no tokenizer of this run's languages in {folder / 'tokenizers'}, "
            "expected those that the heads were trained with. Give the output_folder of a run."
        )
    for path, source in adopted.items():
        if path.is_file() and path.read_bytes() != source.read_bytes():
            raise ValueError(
                f"{path} is another tokenizer than {source}, with which the heads of init_from "
                "were trained. Give another tokenizer_folder."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        shutil.copyfile(source, partial)
        partial.replace(path)
    print(f"Tokenizers of {folder}: {', '.join(path.name for path in adopted)}.")


def start_from_earlier_run(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: its encoder and heads, unless this run has checkpoints of its own."""
    if hparams["init_from"] and hparams["checkpointer"].find_checkpoint() is None:
        start_from_run(hparams["init_from"], hparams["encoder"], hparams["objectives"])


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

    Training batches hold two draws of every language and of all audio (for SSL), of which
    ``unlabelled_ratio`` is from ``unlabelled_folders`` if there are any. Dev batches hold
    one language, or all audio without its text, test batches one language.

    Raises
    ------
    ValueError
        If utterances are longer than the encoder takes.
    """
    train = _read_manifests(hparams, "train")
    dev = _read_manifests(hparams, "dev")
    test = _read_manifests(hparams, "test")
    for split, utterances in (("train", train), ("dev", dev), ("test", test)):
        _check_durations(utterances, split, hparams["encoder"].max_seconds)
    unlabelled = _read_unlabelled(hparams)
    audio = {"ssl": _all_languages(train), **({UNLABELLED: unlabelled} if unlabelled else {})}
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
        **process,
    )
    dev_durations = _durations({**dev, "ssl": _all_languages(dev)})
    dev_sampler = EvaluationSampler(dev_durations, hparams["valid_batch_size"], **process)
    test_sampler = EvaluationSampler(_durations(test), hparams["valid_batch_size"], **process)
    return {
        "train": _data(
            hparams, tokenizers, train, train_sampler, _all_languages(train), unlabelled
        ),
        "dev": _data(hparams, tokenizers, dev, dev_sampler, _all_languages(dev)),
        "test": _data(hparams, tokenizers, test, test_sampler),
    }


def _batching(
    hparams: Mapping[str, Any], durations: Mapping[str, Sequence[float]]
) -> dict[str, Batching]:
    """How each source is cut into training batches: languages, their audio, unlabelled audio."""
    hours = {language: sum(durations[language]) / 3600 for language in hparams["languages"]}
    dynamic = hparams["dynamic_batching"]
    key = "max_batch_length" if dynamic else "batch_size"
    sizes = tempered(hours, hparams[key], hparams["sampling_temperature"])
    sizes["ssl"] = hparams[f"ssl_{key}"]
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
        source: FixedBatches(len(durations[source]), max(1, round(size)))
        for source, size in sizes.items()
    }


def _data(
    hparams: Mapping[str, Any],
    tokenizers: Mapping[str, SentencePieceProcessor],
    utterances: Utterances,
    sampler,
    ssl: Mapping[str, dict] | None = None,
    unlabelled: Mapping[str, dict] | None = None,
) -> Data:
    sources = {}
    for language, spoken in utterances.items():
        own = {
            name: tokenizer
            for name, tokenizer in tokenizers.items()
            if hparams["objectives"][name].source == language
        }
        sources[language] = labelled_dataset(spoken, own, hparams["cache_audio"])
    for source, audio in (("ssl", ssl), (UNLABELLED, unlabelled)):
        if audio:
            sources[source] = unlabelled_dataset(audio, hparams["cache_audio"])
    loader_kwargs = {
        "batch_sampler": sampler,
        "collate_fn": MultilingualBatch,
        "num_workers": hparams["num_workers"],
    }
    return Data(MultilingualDataset(sources, {UNLABELLED: "ssl"}), loader_kwargs)


def _read_unlabelled(hparams: Mapping[str, Any]) -> dict[str, dict]:
    if not hparams["unlabelled_folders"]:
        return {}
    return read_manifest(unlabelled_manifest(hparams["output_folder"]), "")


def _read_manifests(hparams: Mapping[str, Any], split: str) -> dict[str, dict[str, dict]]:
    return {
        language: read_manifest(
            manifest_path(hparams["manifest_folder"], language, split), hparams["data_folder"]
        )
        for language in hparams["languages"]
    }


def _check_durations(utterances: Utterances, split: str, max_seconds: float) -> None:
    for language, seconds in _durations(utterances).items():
        too_long = sum(duration > max_seconds for duration in seconds)
        if too_long:
            raise ValueError(
                f"{language}, {split}: {too_long} utterances are longer than the "
                f"{max_seconds:.1f} s that the encoder takes, the longest is of "
                f"{max(seconds):.1f} s. Lower max_duration (training rows), remove the rows from "
                "the corpus (others), or take another encoder."
            )


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
