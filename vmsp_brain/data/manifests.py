"""From manifests to datasets: SpeechBrain CSVs in, ``DynamicItemDataset`` per language out.

A manifest has the columns ID, duration, wav, language, transcription, target_language,
translation, speaker, and may have sentence: the transcription with case and punctuation. A clip
with translations into several languages has a row for each; the rows of a clip are one utterance
here.
"""

import csv
import functools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem, provides, takes
from torch import Tensor

from vmsp_brain.audio import load_audio
from vmsp_brain.data.text import CASED, NORMALIZED
from vmsp_brain.data.tokenizers import Tokenizer
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
"""Of every manifest."""

SENTENCE = "sentence"
"""The column that a manifest has beside them for recognition with case and punctuation."""

SPLITS = ("train", "dev", "test")
"""Each language has a manifest of each."""


def read_manifest(
    path: str | Path, data_root: str | Path, asr_text: str = NORMALIZED
) -> dict[str, dict]:
    """Utterances of a manifest by ID, in its order.

    Arguments
    ---------
    path : Path
        The CSV.
    data_root : Path
        Takes the place of ``$data_root`` in the ``wav`` column.
    asr_text : str
        ``normalized``, or ``cased``: the sentence is the transcription.

    Raises
    ------
    ValueError
        If the manifest lacks a column, has no rows, or a row is damaged or would take another's
        place; the message names the line. If there are not as many rows as the report of the
        preparation beside it says.

    Returns
    -------
    dict
        For each utterance ``wav``, ``duration`` (seconds), ``language``, ``speaker``,
        ``transcription`` and ``translations``, a dict by target language.

    Example
    -------
    >>> utterances = read_manifest("data/manifests/fr_dev.csv", data_root="data")
    >>> list(utterances)
    ['fr_dev_0', 'fr_dev_1', 'fr_dev_2']
    >>> utterances["fr_dev_0"]["duration"], list(utterances["fr_dev_0"]["translations"])
    (0.5, ['en'])
    """
    # SpeechBrain's load_data_csv would take a price in a translation ("$100") for a replacement.
    clips: dict[str, dict] = {}
    named: dict[str, str] = {}
    columns = (*COLUMNS, SENTENCE) if asr_text == CASED else COLUMNS
    for place, row in _rows(Path(path), columns):
        if asr_text == CASED:
            row["transcription"] = row[SENTENCE]
        wav = row["wav"].replace("$data_root", str(data_root), 1)
        if named.setdefault(row["ID"], wav) != wav:
            raise ValueError(
                f"{place}: the ID {row['ID']} is already that of {named[row['ID']]}. Give every "
                "clip an ID of its own."
            )
        utterance, target = _utterance(place, row, wav), row["target_language"]
        clip = clips.setdefault(wav, utterance)
        if clip is not utterance:
            _check_further_row(place, target, utterance, clip)
        if target:
            clip["translations"][target] = row["translation"]
    if not clips:
        raise ValueError(f"{path} has no rows. Prepare the corpus again, or leave the file out.")
    _check_whole(Path(path), sum(max(1, len(clip["translations"])) for clip in clips.values()))
    return {utterance.pop("id"): utterance for utterance in clips.values()}


def longest_duration(path: Path) -> float:
    """Seconds of a manifest's longest clip.

    Raises
    ------
    ValueError
        If the manifest is damaged or has no rows; the message names it.
    """
    durations = [_duration(place, row) for place, row in _rows(path, COLUMNS)]
    if not durations:
        raise ValueError(f"{path} has no rows. Prepare the corpus again.")
    return max(durations)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row is, and its values; a file that was cut off or damaged is refused."""
    with path.open(newline="", encoding="utf-8-sig") as manifest:
        reader = csv.DictReader(manifest, strict=True)
        try:
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(
                    f"{path}: this manifest has no column {', '.join(missing)}. Prepare the corpus "
                    "again."
                )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    more = "more" if None in row else "fewer"
                    raise ValueError(
                        f"{place}: this row has {more} values than the manifest has columns. The "
                        "file may be cut off; prepare the corpus again, or quote commas."
                    )
                yield place, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, after line {reader.line_num}: {error}. Expected CSV in UTF-8; the file "
                "may be cut off. Prepare the corpus again."
            ) from error


def _duration(place: str, row: Mapping[str, str]) -> float:
    try:
        seconds = float(row["duration"])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{place}: duration: found {row['duration']!r}, expected seconds above 0.")
    return seconds


def _utterance(place: str, row: Mapping[str, str], wav: str) -> dict:
    seconds = _duration(place, row)
    return {
        "id": row["ID"],
        "wav": wav,
        "duration": seconds,
        "language": sys.intern(row["language"]),
        "speaker": sys.intern(row["speaker"]),  # 128 letters, in many rows
        "transcription": row["transcription"],
        "translations": {},
    }


def _check_further_row(place: str, target: str, found: dict, clip: dict) -> None:
    """Refuse one that is not for another language, or in which something else differs."""
    if target in {"", *clip["translations"]}:
        raise ValueError(
            f"{place}: {clip['wav']} has such a row already. Remove one: a further row of a clip "
            "is for a translation into another language."
        )
    for key in ("transcription", "duration", "language", "speaker"):
        if found[key] != clip[key]:
            raise ValueError(
                f"{place}: {clip['wav']} has the {key} {found[key]!r}, but {clip[key]!r} in its "
                "first row. Correct one of them: the rows of a clip differ in translations alone."
            )


def merged(manifests: Mapping[Any, Mapping[str, dict]]) -> dict[str, dict]:
    """Utterances of several manifests, or languages, in one.

    Arguments
    ---------
    manifests : dict
        Utterances by ID of each.

    Raises
    ------
    ValueError
        If two share an ID: one's utterance would take the other's place.

    Example
    -------
    >>> merged({"en": {"a": {"duration": 1.0}}, "fr": {"b": {"duration": 2.0}}})
    {'a': {'duration': 1.0}, 'b': {'duration': 2.0}}
    """
    everything: dict[str, dict] = {}
    for name, utterances in manifests.items():
        shared = everything.keys() & utterances.keys()
        if shared:
            key = min(shared)
            other = next(name for name, items in manifests.items() if key in items)
            raise ValueError(
                f"{name}: {len(shared)} IDs are also in {other}, such as {key}. Give every clip an "
                "ID of its own."
            )
        everything |= utterances
    return everything


def _check_whole(manifest: Path, rows: int) -> None:
    report = preparation_report(manifest.parent)
    expected = report.get("rows", {}).get(manifest.name, rows)
    if rows != expected:
        raise ValueError(
            f"{manifest}: found {rows} rows, but {expected} were prepared: it was cut off or "
            "edited. Remove preparation.json beside it to prepare the corpus again. To test on "
            "some of the rows, copy them elsewhere and give evaluate.py that --manifest."
        )


def labelled_dataset(
    utterances: Mapping[str, dict],
    tokenizers: Mapping[str, Tokenizer],
    cache_audio: bool = False,
) -> DynamicItemDataset:
    """One language's utterances, with the target tokens of each of its objectives.

    Arguments
    ---------
    utterances : dict
        From `read_manifest`.
    tokenizers : dict
        For each objective of the language, ``asr/<language>`` or ``st/<source>-<target>``, its
        tokenizer; for ``lid`` a `LanguageTokenizer`.
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


def _target_item(name: str, tokenizer: Tokenizer) -> DynamicItem:
    @takes("language", "transcription", "translations")
    @provides(name, text_key(name))
    def target(
        language: str, transcription: str, translations: dict[str, str]
    ) -> Iterator[Tensor | str]:
        utterance = {"transcription": transcription, "translations": translations}
        text = target_text(name, utterance | {"language": language})
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
    """Where the manifest of a language's split is.

    Example
    -------
    >>> manifest_path("data/manifests", "fr", "dev").as_posix()
    'data/manifests/fr_dev.csv'
    """
    return Path(save_folder) / f"{language}_{split}.csv"


def preparation_path(save_folder: str | Path) -> Path:
    """Where the report of a preparation is: ``rows`` of each manifest, and what else it has."""
    return Path(save_folder) / "preparation.json"


def preparation_report(save_folder: str | Path) -> dict[str, Any]:
    """The report of the preparation of a folder; empty if there is none.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    path = preparation_path(save_folder)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report["made_of"], dict):
            raise ValueError("made_of is no object")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a report of a preparation ({error!r}). Remove it to prepare again."
        ) from error
    return report


def unlabelled_manifest(save_folder: str | Path) -> Path:
    """Where the manifest of the unlabelled audio is."""
    return Path(save_folder) / "unlabelled.csv"
