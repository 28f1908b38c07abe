#!/usr/bin/env python3
"""What becomes of a long recording: its words, its memory, its time, beside clips one by one.

    OMP_NUM_THREADS=1 python tests/benchmarks/long_audio.py results/mini

joins a run's test clips of every language, with silences of 0.7 to 2 s between them, to a file of
ten minutes and to one of 30 s, adds the noise of a quiet room, and transcribes both, each in a
process of its own, and every clip alone, out of the same noise. Expected: a word error rate at most
10 % above the clips', at most twice the memory of the short file, and no more CPU time than the
file lasts. `--silences 0.25 0.4` asks for more: sentences that follow each other closely.

A small model decides a word here and there by where its frames begin. How much that is, the clips
tell that begin a frame of the search for pauses, 10 ms, too early and too late.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import jiwer
import numpy as np
import soundfile

from vmsp_brain.audio import SAMPLE_RATE
from vmsp_brain.data.manifests import manifest_path, read_manifest
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.recording import Recording

FLOOR = 1e-3
"""Of full scale, -60 dB: the noise of a quiet room."""

SHIFT = SAMPLE_RATE // 100
"""Samples by which a clip begins too early or too late."""


def clips(run: RunFolder, language: str) -> list[dict]:
    """The test utterances of a language."""
    path = manifest_path(run.path("manifest_folder"), language, "test")
    return list(read_manifest(path, run.settings["data_folder"]).values())


def joined(
    utterances: Sequence[dict], seconds: float, silences: Sequence[float]
) -> tuple[np.ndarray, list[tuple[dict, slice]]]:
    """Clips, again and again, between silences, (samples,); and which is where."""
    rng = np.random.default_rng(0)

    def silence() -> np.ndarray:
        return np.zeros(round(rng.uniform(*silences) * SAMPLE_RATE))

    parts, used, size = [silence()], [], 0
    for utterance in cycle(utterances):
        size = sum(map(len, parts))
        if size >= seconds * SAMPLE_RATE:
            break
        clip = Recording(utterance["wav"]).read().numpy()
        used.append((utterance, slice(size, size + len(clip))))
        parts += [clip, silence()]
    wave = np.concatenate(parts)
    return wave + FLOOR * rng.standard_normal(len(wave)), used


def measure(run: str, language: str, file: str) -> None:
    """In a process of its own: the text of a file, CPU seconds and the process's peak in MB."""
    model = load_model(run)
    start = time.process_time()
    text = model.transcribe_file(file, language)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"text": text, "seconds": seconds, "peak": peak}))


def measured(run: str, language: str, file: Path) -> dict:
    """What `measure` prints in a process of its own."""
    words = [sys.executable, __file__, run, "--languages", language, "--file", str(file)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compared(run: str, language: str, minutes: float, silences: Sequence[float]) -> list[float]:
    """WER of the clips, of shifted ones and of the long file, peaks of the short and the long file,
    its length, and CPU seconds."""
    utterances, found = clips(RunFolder(run), language), {}
    model = load_model(run)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.wav"
        for name, seconds in (("short", 30.0), ("long", 60 * minutes)):
            wave, used = joined(utterances, seconds, silences)
            soundfile.write(file, wave, SAMPLE_RATE)
            found[name] = measured(run, language, file)
        alone: dict[int, list[str]] = {0: [], -SHIFT: [], SHIFT: []}
        for shift, texts in alone.items():
            for _, where in used:
                soundfile.write(file, wave[where.start + shift : where.stop], SAMPLE_RATE)
                texts.append(model.transcribe_file(file, language))
    references = [utterance["transcription"] for utterance, _ in used]
    one_by_one, early, late = (100 * jiwer.wer(references, texts) for texts in alone.values())
    in_one = 100 * jiwer.wer(" ".join(references), found["long"]["text"])
    peaks = found["short"]["peak"], found["long"]["peak"]
    lasts = len(wave) / SAMPLE_RATE
    return [one_by_one, (early + late) / 2, in_one, *peaks, lasts, found["long"]["seconds"]]


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--languages", nargs="+", help="of the run; all, if not given")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--silences", nargs=2, type=float, default=(0.7, 2.0), metavar="SECONDS")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        measure(options.run, options.languages[0], options.file)
        return
    print("| language | WER of clips | 10 ms off | of the file | ratio | MB | ratio | CPU s / s |")
    print("|---" * 8 + "|")
    languages = options.languages or RunFolder(options.run).settings["languages"]
    rows = []
    for language in languages:
        rows.append(compared(options.run, language, options.minutes, options.silences))
        _print_row(language, rows[-1])
    _print_row("mean", [sum(column) / len(rows) for column in zip(*rows, strict=True)])


def _print_row(title: str, row: Sequence[float]) -> None:
    alone, shifted, in_one, short, long, lasts, cpu = row
    cells = f"{alone:.2f} | {shifted:.2f} | {in_one:.2f} | {in_one / alone:.2f}"
    cells += f" | {long:.0f} | {long / short:.2f}"
    print(f"| {title} | {cells} | {cpu / lasts:.3f} |", flush=True)


if __name__ == "__main__":
    main()
