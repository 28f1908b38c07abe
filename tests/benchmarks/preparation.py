#!/usr/bin/env python3
"""How many clips a core prepares and reads in a second, beside SpeechBrain's CoVoST preparation.

    python tests/benchmarks/preparation.py data/mini_covost

Preparation with conversion to 16 kHz FLAC against one ffmpeg process per clip, which is how
SpeechBrain's recipes/CoVoST/covost_prepare.py (1.1) converts to 16 kHz wav; then reading in
training, from the clips and from their copies. The two preparations take turns, language by
language, with as many workers as cores, in a temporary folder. Times are CPU times of this process
and its children.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.dataio import read_audio_info

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "CoVoST"))

from corpus.prepare import prepare_covost
from vmsp_brain.audio import load_audio
from vmsp_brain.data.manifests import SPLITS, manifest_path, read_manifest

ROWS = {
    "prepare": "preparation with conversion",
    "prepare_with_ffmpeg": "preparation, a process of ffmpeg per clip",
    "read_clips": "reading at 16 kHz, from the clips",
    "read_converted": "reading at 16 kHz, from the converted clips",
}
"""What is measured."""


def main() -> None:
    """Read the command line, measure, print a table and JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", type=Path, help="mini-CoVoST, or a corpus in its layout")
    parser.add_argument("--languages", nargs="+", default=["en", "fr", "de", "es", "ca"])
    arguments = parser.parse_args()
    if not shutil.which("ffmpeg"):
        sys.exit("ffmpeg, the other side of this comparison, is missing: apt-get install ffmpeg")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(arguments.data_folder.resolve(), arguments.languages, Path(folder))
    print_table(results)
    print(json.dumps(results, indent=1))


def measure(data_folder: Path, languages: Sequence[str], folder: Path) -> dict[str, Any]:
    """CPU seconds of everything, for all clips of these languages."""
    seconds = dict.fromkeys(ROWS, 0.0)
    clips, speech = 0, 0.0
    for language in languages:
        corpus = link_corpus(data_folder, language, folder / language)
        seconds["prepare"] += cpu_seconds(prepare, corpus, language, True)
        prepare(corpus, language, False)
        original, converted = (utterances(corpus, language, choice) for choice in (False, True))
        seconds["prepare_with_ffmpeg"] += cpu_seconds(prepare_with_ffmpeg, original, corpus / "wav")
        seconds["read_clips"] += cpu_seconds(read, original)
        seconds["read_converted"] += cpu_seconds(read, converted)
        clips += len(original)
        speech += sum(utterance["duration"] for utterance in original)
    return {
        "languages": list(languages),
        "clips": clips,
        "hours_of_speech": speech / 3600,
        "workers": os.cpu_count(),
        "cpu_seconds": seconds,
        "clips_per_cpu_second": {name: clips / value for name, value in seconds.items()},
        "speech_per_cpu_second": {name: speech / value for name, value in seconds.items()},
        "times_as_many_prepared": seconds["prepare_with_ffmpeg"] / seconds["prepare"],
        "times_as_many_read": seconds["read_clips"] / seconds["read_converted"],
    }


def cpu_seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """CPU time of a call, with that of the processes that it started and waited for."""
    before = _cpu_seconds_so_far()
    function(*arguments)
    return _cpu_seconds_so_far() - before


def _cpu_seconds_so_far() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def link_corpus(data_folder: Path, language: str, corpus: Path) -> Path:
    """A corpus of one language that shares its clips with another, but not what is made of them."""
    (corpus / language).mkdir(parents=True)
    (corpus / language / "clips").symlink_to(data_folder / language / "clips")
    for folder in (data_folder, data_folder / language):
        for tsv in folder.glob("*.tsv"):
            shutil.copy(tsv, corpus / language)
    return corpus


def prepare(corpus: Path, language: str, convert: bool) -> None:
    """Our preparation, from the TSV files to the manifests."""
    prepare_covost(corpus, corpus / f"manifests_{convert}", [language], [], convert_audio=convert)


def utterances(corpus: Path, language: str, convert: bool) -> list[dict]:
    """What `prepare` found, in all splits."""
    paths = [manifest_path(corpus / f"manifests_{convert}", language, split) for split in SPLITS]
    return [found for path in paths for found in read_manifest(path, corpus).values()]


def prepare_with_ffmpeg(clips: Sequence[dict], folder: Path) -> None:
    """What SpeechBrain's preparation does to each clip, its text normalization aside.

    It converts with ``ffmpeg -y -i MP3 -ac 1 -ar 16000 WAV``, reads the wav's header and writes a
    row; here without the shell that it runs ffmpeg in, and in threads instead of processes, both of
    which cost less.
    """
    folder.mkdir()

    def convert(clip: dict) -> tuple[str, float, str, str]:
        wav = folder / f"{Path(clip['wav']).stem}.wav"
        command = ["ffmpeg", "-y", "-i", clip["wav"], "-ac", "1", "-ar", "16000", str(wav)]
        subprocess.run(command, check=True, capture_output=True)
        info = read_audio_info(str(wav))
        return wav.stem, info.num_frames / info.sample_rate, str(wav), clip["transcription"]

    with (folder / "manifest.csv").open("w", newline="") as file, ThreadPoolExecutor() as pool:
        csv.writer(file).writerows(pool.map(convert, clips))


def read(clips: Sequence[dict]) -> None:
    """What a worker of the data loader does with the audio."""
    for clip in clips:
        load_audio(clip["wav"])


def print_table(results: dict[str, Any]) -> None:
    """Clips and speech per CPU second."""
    print(f"{results['clips']:,} clips, {results['hours_of_speech']:.2f} h of speech")
    print(f"{'':46}{'clips per CPU s':>16}{'speech s per CPU s':>20}")
    for name, label in ROWS.items():
        clips = results["clips_per_cpu_second"][name]
        print(f"{label:46}{clips:>16.1f}{results['speech_per_cpu_second'][name]:>20.0f}")
    print(
        f"Per CPU second, {results['times_as_many_prepared']:.1f} times as many clips are prepared "
        f"as with ffmpeg, and {results['times_as_many_read']:.1f} times as many are read once they "
        "are converted."
    )


if __name__ == "__main__":
    main()
