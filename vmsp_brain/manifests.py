"""From manifests to datasets: SpeechBrain CSVs in, ``DynamicItemDataset`` per language out.

A manifest has the columns ID, duration, wav, language, transcription, target_language,
translation, speaker. A clip with translations into several languages has a row for each; the rows
of a clip are one utterance here.
"""

import csv
import functools
import sys
from collections.abc import Mapping
from pathlib import Path

import sentencepiece
import torch
import torchaudio
from speechbrain.dataio import audio_io
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes
from torch import Tensor

from vmsp_brain.encoders.interface import SAMPLE_RATE
from vmsp_brain.objectives import split_pair

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


def load_audio(wav: str) -> Tensor:
    """Waveform of an audio file, mono, at 16 kHz, (samples,).

    Raises
    ------
    ValueError
        If the file is missing or is not audio.
    """
    try:
        waveform, rate = audio_io.load(wav)  # (channels, samples)
    except RuntimeError as error:
        raise ValueError(
            f"{wav} cannot be read, though the manifest lists it: {error}. Put the file back, or "
            "remove its row from the manifest (a dev or test row less changes the score)."
        ) from error
    return mono_at_model_rate(waveform, rate)


def mono_at_model_rate(waveform: Tensor, rate: int) -> Tensor:
    """A waveform (channels, samples) of this rate in Hz as mono at 16 kHz, (samples,)."""
    return _resampler(rate)(waveform.mean(0))


@functools.cache
def _resampler(rate: int) -> torchaudio.transforms.Resample:
    # Making its filter takes as long as using it.
    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)


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


def text_key(name: str) -> str:
    """The batch key of an objective's target text."""
    return f"{name} text"


def target_text(name: str, utterance: Mapping) -> str:
    """What an objective is to produce for an utterance; empty if it has no such translation."""
    task, _, languages = name.partition("/")
    if task == "asr":
        return utterance["transcription"]
    _, target = split_pair(languages)
    return utterance["translations"].get(target, "")


def _target_item(name: str, tokenizer: sentencepiece.SentencePieceProcessor):
    @takes("transcription", "translations")
    @provides(name, text_key(name))
    def target(transcription: str, translations: dict[str, str]):
        utterance = {"transcription": transcription, "translations": translations}
        text = target_text(name, utterance)
        yield torch.tensor(tokenizer.encode(text), dtype=torch.long)
        yield text

    return target


@functools.cache
def _cached_audio(wav: str) -> Tensor:
    return load_audio(wav)


def _audio_item(cache_audio: bool):
    load = _cached_audio if cache_audio else load_audio

    @takes("wav")
    @provides("sig")
    def audio(wav: str) -> Tensor:
        return load(wav)

    return audio
