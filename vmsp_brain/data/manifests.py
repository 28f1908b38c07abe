"""From manifests to datasets: SpeechBrain CSVs in, ``DynamicItemDataset`` per language out.

A manifest has the columns ID, duration, wav, language, transcription, target_language,
translation, speaker. A clip with translations into several languages has a row for each; the rows
of a clip are one utterance here.
"""

import csv
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import sentencepiece
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem, provides, takes
from torch import Tensor

from vmsp_brain.audio import load_audio
from vmsp_brain.names import target_text, text_key

COLUMNS = (
    "ID",
    "duration",
    "wav",
    "language",
    "transcription",
    "target_language",
    "translation",
    "speaker",
)
"""Of a manifest."""

SPLITS = ("train", "dev", "test")
"""Each language has a manifest of each."""


def read_manifest(path: str | Path, data_root: str | Path) -> dict[str, dict]:
    """Utterances of a manifest by ID, in its order.

    Arguments
    ---------
    path : Path
        The CSV.
    data_root : Path
        Takes the place of ``$data_root`` in the ``wav`` column.

    Raises
    ------
    ValueError
        If the manifest lacks a column.

    Returns
    -------
    dict
        For each utterance ``wav``, ``duration`` (seconds), ``language``, ``speaker``,
        ``transcription`` and ``translations``, a dict by target language.
    """
    # SpeechBrain's load_data_csv would take a price in a translation ("$100") for a replacement.
    utterances: dict[str, dict] = {}
    with Path(path).open(newline="", encoding="utf-8") as manifest:
        reader = csv.DictReader(manifest)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(
                f"{path}: this manifest has no column {', '.join(missing)}. Prepare the corpus "
                "again."
            )
        for row in reader:
            wav = row["wav"].replace("$data_root", str(data_root), 1)
            utterance = utterances.setdefault(wav, {})
            if not utterance:
                utterance |= {
                    "id": row["ID"],
                    "wav": wav,
                    "duration": float(row["duration"]),
                    "language": sys.intern(row["language"]),
                    "speaker": sys.intern(row["speaker"]),  # 128 letters, in many rows
                    "transcription": row["transcription"],
                    "translations": {},
                }
            if row["target_language"]:
                utterance["translations"][row["target_language"]] = row["translation"]
    return {utterance.pop("id"): utterance for utterance in utterances.values()}


def labelled_dataset(
    utterances: Mapping[str, dict],
    tokenizers: Mapping[str, sentencepiece.SentencePieceProcessor],
    cache_audio: bool = False,
) -> DynamicItemDataset:
    """One language's utterances, with the target tokens of each of its objectives.

    Arguments
    ---------
    utterances : dict
        From `read_manifest`.
    tokenizers : dict
        For each objective of the language, ``asr/<language>`` or ``st/<source>-<target>``, its
        tokenizer.
    cache_audio : bool
        Keep decoded audio in memory; for corpora of a few hours.

    Returns
    -------
    DynamicItemDataset
        Items have ``id``, ``sig`` and, for each objective, its target tokens under the objective's
        name and its target text under `text_key`; both are empty where the clip has no such
        translation.
    """
    items = [_audio_item(cache_audio)]
    for name, tokenizer in tokenizers.items():
        items.append(_target_item(name, tokenizer))
    keys = [key for name in tokenizers for key in (name, text_key(name))]
    return DynamicItemDataset(dict(utterances), items, ["id", "sig", *keys])


def unlabelled_dataset(
    utterances: Mapping[str, dict], cache_audio: bool = False
) -> DynamicItemDataset:
    """Utterances of any languages as audio alone: items have ``id`` and ``sig``."""
    return DynamicItemDataset(dict(utterances), [_audio_item(cache_audio)], ["id", "sig"])


def _target_item(name: str, tokenizer: sentencepiece.SentencePieceProcessor) -> DynamicItem:
    @takes("transcription", "translations")
    @provides(name, text_key(name))
    def target(transcription: str, translations: dict[str, str]) -> Iterator[Tensor | str]:
        utterance = {"transcription": transcription, "translations": translations}
        text = target_text(name, utterance)
        tokens = tokenizer.encode(text)
        yield torch.tensor(tokens, dtype=torch.long)
        yield text if tokens else ""  # blanks alone are no target

    return target


@functools.cache
def _cached_audio(wav: str) -> Tensor:
    return load_audio(wav)


def _audio_item(cache_audio: bool) -> DynamicItem:
    load = _cached_audio if cache_audio else load_audio

    @takes("wav")
    @provides("sig")
    def audio(wav: str) -> Tensor:
        return load(wav)

    return audio


def manifest_path(save_folder: str | Path, language: str, split: str) -> Path:
    """Where the manifest of a language's split is."""
    return Path(save_folder) / f"{language}_{split}.csv"


def unlabelled_manifest(save_folder: str | Path) -> Path:
    """Where the manifest of the unlabelled audio is."""
    return Path(save_folder) / "unlabelled.csv"
