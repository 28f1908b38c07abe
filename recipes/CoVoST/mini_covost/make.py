"""mini-CoVoST: sentences from a parallel grammar (``grammar.py``), spoken by eSpeak NG
(``espeak.py``), in the on-disk layout of CoVoST 2.

What is said in train, dev and test never overlaps, in any language, so neither a test sentence
nor its translation is in any training set; nor does a speaker (a voice at a rate and a pitch).
Equal arguments give equal bytes. A killed run is finished by running it again.
"""

import csv
import hashlib
import json
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product, zip_longest
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
import torchaudio
from tqdm import tqdm

from mini_covost.espeak import SAMPLE_RATE, VARIANTS, synthesize
from mini_covost.grammar import LANGUAGES, Meaning, meanings, render
from vmsp_brain.data.manifests import SPLITS
from vmsp_brain.files import put_in_place, whole_file, write_whole

HELD_OUT = {"dev": 0.08, "test": 0.12}  # shares of all meanings and of all speakers
SPEAKERS = {"train": 40, "dev": 8, "test": 12}  # per language, at most
TARGETS = {"en": "de", "fr": "en", "de": "en", "es": "en", "ca": "en"}
VOICES = {"en": "en-us", "fr": "fr", "de": "de", "es": "es", "ca": "ca"}
RATES = (150, 160, 170, 180, 190, 200)  # words per minute
PITCHES = (30, 40, 50, 60, 70)

CLIP_RATE = 48000
MP3_LEVEL = 0.9  # of 0 to 1; about 57 kbit/s, near Common Voice's 64

VERSION = 1  # to be raised whenever equal arguments no longer give equal bytes
STARTED = "mini_covost.started.json"
COMPLETE = "mini_covost.json"


class Speaker(NamedTuple):
    """A variant of a language's voice at a rate and a pitch."""

    variant: str
    rate: int
    pitch: int


class Utterance(NamedTuple):
    """One clip and its rows in the TSV files."""

    language: str
    split: str
    meaning: Meaning
    speaker: Speaker
    path: str

    @property
    def sentence(self) -> str:
        return render(self.meaning, self.language)

    @property
    def translation(self) -> str:
        return render(self.meaning, TARGETS[self.language])

    @property
    def client_id(self) -> str:
        name = f"mini-covost {self.language} {self.speaker}"
        return hashlib.sha512(name.encode()).hexdigest()


def make_mini_covost(
    data_folder: str | Path,
    train: int = 500,
    dev: int = 40,
    test: int = 60,
    languages: Sequence[str] = LANGUAGES,
    seed: int = 1234,
    workers: int | None = None,
) -> Path:
    """Makes the corpus, or finishes it, or says that it is there already.

    Arguments
    ---------
    data_folder : str | Path
        Where to make it: a folder that does not exist, is empty, or holds a run of this
        function with the same arguments.
    train : int
        Training utterances per language.
    dev : int
        Validation utterances per language.
    test : int
        Test utterances per language.
    languages : Sequence[str]
        Any of en, fr, de, es, ca. A language's files do not depend on the other languages.
    seed : int
        Chooses the sentences, the splits and the speakers.
    workers : int | None
        Processes; None for one per core. Does not change the result.

    Returns
    -------
    data_folder : Path
        The folder of the corpus.

    Raises
    ------
    ValueError
        If an argument makes no sense, or asks for more sentences than the grammar has.
    FileExistsError
        If the folder holds anything else. Nothing is overwritten or deleted.
    EspeakError
        If eSpeak NG is not installed or does not work.
    """
    data_folder = Path(data_folder)
    sizes = {"train": train, "dev": dev, "test": test}
    workers = workers or os.cpu_count() or 1
    _check_arguments(sizes, languages, seed, workers)
    arguments = {"version": VERSION, **sizes, "languages": sorted(languages), "seed": seed}
    plan = {language: plan_language(language, sizes, seed) for language in languages}
    synthesize("Ready.", "en-us+f1", RATES[0], PITCHES[0])  # fails before anything is written

    if _claim(data_folder, arguments):
        print(f"mini-CoVoST is already made in {data_folder}, with the same arguments.")
        return data_folder
    durations = _make_clips(data_folder, plan, workers)
    for language, utterances in plan.items():
        _write_tables(data_folder / language, language, utterances)
    for partial in data_folder.rglob("*.partial"):  # of a killed run
        partial.unlink()
    put_in_place(data_folder / STARTED, data_folder / COMPLETE)
    _print_summary(plan, durations)
    return data_folder


def plan_language(language: str, sizes: dict[str, int], seed: int) -> list[Utterance]:
    """Chooses what is said in a language, and by whom.

    Arguments
    ---------
    language : str
        The language of the speech.
    sizes : dict[str, int]
        The number of utterances of each split.
    seed : int
        The seed of the corpus.

    Returns
    -------
    utterances : list[Utterance]
        The utterances of all splits, no two of the same sentence.
    """
    utterances = []
    for split in SPLITS:
        rng = random.Random(f"{seed} {language} {split}")
        speakers = rng.sample(speakers_of_splits(seed)[split], SPEAKERS[split])
        said = _draw(meanings_of_splits(seed)[split], sizes[split], rng)
        for index, meaning in enumerate(said):
            path = f"mini_covost_{language}_{split}_{index:06d}.mp3"
            speaker = speakers[index % len(speakers)]
            utterances.append(Utterance(language, split, meaning, speaker, path))
    return utterances


@cache
def meanings_of_splits(seed: int) -> dict[str, list[list[Meaning]]]:
    """Deals every construction's meanings out to the splits, for all languages alike.

    Arguments
    ---------
    seed : int
        The seed of the corpus.

    Returns
    -------
    meanings_of_splits : dict[str, list[list[Meaning]]]
        For each split, the meanings of each construction.
    """
    dealt = [_deal(items, f"{seed} {name}") for name, items in meanings().items()]
    return {split: [share[split] for share in dealt] for split in SPLITS}


@cache
def speakers_of_splits(seed: int) -> dict[str, list[Speaker]]:
    """Deals the speakers out to the splits, for all languages alike.

    Arguments
    ---------
    seed : int
        The seed of the corpus.

    Returns
    -------
    speakers_of_splits : dict[str, list[Speaker]]
        For each split, its speakers.
    """
    return _deal(list(map(Speaker._make, product(VARIANTS, RATES, PITCHES))), f"{seed} speakers")


def _deal(items: list, seed: str) -> dict[str, list]:
    shuffled = random.Random(seed).sample(items, len(items))
    n_dev, n_test = (round(share * len(items)) for share in HELD_OUT.values())
    return {
        "dev": shuffled[:n_dev],
        "test": shuffled[n_dev : n_dev + n_test],
        "train": shuffled[n_dev + n_test :],
    }


def _draw(pools: list[list[Meaning]], count: int, rng: random.Random) -> list[Meaning]:
    """Draws equally from all constructions, as long as they last, and shuffles."""
    rows = zip_longest(*(rng.sample(pool, len(pool)) for pool in pools))
    drawn = [meaning for row in rows for meaning in row if meaning is not None][:count]
    return rng.sample(drawn, count)


def _check_arguments(
    sizes: dict[str, int], languages: Sequence[str], seed: int, workers: int
) -> None:
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown or not languages or len(set(languages)) < len(languages):
        raise ValueError(
            f"languages: expected some of {', '.join(LANGUAGES)}, each once; "
            f"got {', '.join(languages) or 'none'}."
        )
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}.")
    for split, size in sizes.items():
        most = sum(map(len, meanings_of_splits(seed)[split]))
        if not 1 <= size <= most:
            raise ValueError(
                f"{split}: expected 1 to {most} utterances per language, got {size} "
                f"(the grammar's share of distinct sentences for {split} is {most})."
            )


def _claim(data_folder: Path, arguments: dict[str, Any]) -> bool:
    """Marks the folder as ours. Returns whether the corpus is complete there."""
    for name in (COMPLETE, STARTED):
        if (data_folder / name).exists():
            _check_same_arguments(data_folder / name, arguments)
            return name == COMPLETE
    if data_folder.exists() and not data_folder.is_dir():
        raise FileExistsError(f"{data_folder} is a file. Give a folder that may be created.")
    of_killed = set(data_folder.glob(f"{STARTED}.*.partial"))  # in the lines below
    found = sorted(path.name for path in set(data_folder.glob("*")) - of_killed)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise FileExistsError(
            f"{data_folder} is not empty and no mini-CoVoST was begun there: found "
            f"{', '.join(found[:3])}{more}. Nothing was changed. Give an empty or new folder."
        )
    data_folder.mkdir(parents=True, exist_ok=True)
    write_whole(data_folder / STARTED, json.dumps(arguments, indent=2) + "\n")
    return False


def _check_same_arguments(marker: Path, arguments: dict[str, Any]) -> None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise FileExistsError(
            f"{marker} is not a record of a mini-CoVoST. Nothing was changed. "
            "Give an empty or new folder."
        )
    differences = [
        f"{name} = {found.get(name)} there and {arguments.get(name)} here"
        for name in sorted(found.keys() | arguments.keys())
        if found.get(name) != arguments.get(name)
    ]
    if differences:
        begun = "a" if marker.name == COMPLETE else "an unfinished"
        raise FileExistsError(
            f"{marker.parent} holds {begun} mini-CoVoST of other arguments: "
            f"{'; '.join(differences)}. "
            "Nothing was changed. Repeat those arguments, give another folder, or delete "
            "this one yourself."
        )


def _make_clips(
    data_folder: Path, plan: dict[str, list[Utterance]], workers: int
) -> dict[str, list[float]]:
    """Makes the clips that are not there yet. Returns the seconds of all of them."""
    folders = {language: data_folder / language / "clips" for language in plan}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folders[language], utt) for language, utts in plan.items() for utt in utts]
    with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        made = pool.map(_make_clip, jobs, chunksize=8)
        seconds = iter(list(tqdm(made, "mini-CoVoST", len(jobs), unit="clip", dynamic_ncols=True)))
    return {language: [next(seconds) for _ in utts] for language, utts in plan.items()}


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Ends a worker whose parent was killed: it would wait for work for ever."""
    parent_process().join()
    os._exit(1)


def _make_clip(job: tuple[Path, Utterance]) -> float:
    """Speaks one utterance, unless that is done. Returns its duration in seconds."""
    folder, utterance = job
    clip = folder / utterance.path
    if not clip.exists():
        speech = _speak(utterance)
        with whole_file(clip, sync=False) as partial:
            soundfile.write(
                partial,
                speech,
                CLIP_RATE,
                format="MP3",
                bitrate_mode="VARIABLE",  # encodes in half the time of a constant one
                compression_level=MP3_LEVEL,
            )
    return soundfile.info(clip).duration


def _speak(utterance: Utterance) -> np.ndarray:
    variant, rate, pitch = utterance.speaker
    voice = f"{VOICES[utterance.language]}+{variant}"
    samples = synthesize(utterance.sentence, voice, rate, pitch)
    speech = _resampler()(torch.from_numpy(samples.astype(np.float32) / 2**15))
    return speech.clamp(-1, 1).numpy()


@cache
def _resampler() -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(SAMPLE_RATE, CLIP_RATE)


def _write_tables(folder: Path, language: str, utterances: list[Utterance]) -> None:
    validated = [
        {
            "client_id": utterance.client_id,
            "path": utterance.path,
            "sentence": utterance.sentence,
            "up_votes": 2,
            "down_votes": 0,
            "age": "",
            "gender": "female" if utterance.speaker.variant.startswith("f") else "male",
            "accent": "us" if language == "en" else "",
        }
        for utterance in utterances
    ]
    translated = [
        {
            "path": utterance.path,
            "translation": utterance.translation,
            "split": utterance.split,
        }
        for utterance in utterances
    ]
    _write_tsv(folder / "validated.tsv", validated)
    _write_tsv(folder / f"covost_v2.{language}_{TARGETS[language]}.tsv", translated)


def _write_tsv(path: Path, rows: list[dict[str, Any]]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            rows[0].keys(),
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
            escapechar="\\",
            lineterminator="\n",
        )
        writer.writeheader()
        writer.writerows(rows)


def _print_summary(plan: dict[str, list[Utterance]], durations: dict[str, list[float]]) -> None:
    print(f"{'':8}" + "".join(f"{split:>18}" for split in SPLITS))
    for language, utterances in plan.items():
        cells = []
        for split in SPLITS:
            pairs = zip(utterances, durations[language], strict=True)
            seconds = [duration for utterance, duration in pairs if utterance.split == split]
            cells.append(f"{len(seconds):>8} {sum(seconds) / 60:>5.1f} min")
        print(f"{language:8}" + "".join(f"{cell:>18}" for cell in cells))
    for language, utterances in plan.items():
        example = utterances[0]
        print(f"{language} → {TARGETS[language]}: {example.sentence} → {example.translation}")
