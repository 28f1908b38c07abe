#!/usr/bin/env python3
"""What becomes of a long recording: its words, its memory, its time, beside clips one by one.

    OMP_NUM_THREADS=1 python tests/benchmarks/long_audio.py results/mini --language fr

joins a run's test clips, with silences of 0.7 to 2 s between them, to a file of ten minutes and to
one of 30 s, and transcribes both, each in a process of its own, and every clip alone. Expected: a
word error rate at most 10 % above the clips', at most twice the memory of the short file, and no
more CPU time than the file lasts.
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


def clips(run: RunFolder, language: str) -> list[dict]:
    """The test utterances of a language."""
    path = manifest_path(run.path("manifest_folder"), language, "test")
    return list(read_manifest(path, run.settings["data_folder"]).values())


def joined(utterances: Sequence[dict], seconds: float) -> tuple[np.ndarray, list[dict]]:
    """Clips, again and again, between silences, (samples,); and which they are."""
    rng = np.random.default_rng(0)
    parts, used = [_silence(rng)], []
    for utterance in cycle(utterances):
        if sum(map(len, parts)) >= seconds * SAMPLE_RATE:
            break
        parts += [Recording(utterance["wav"]).read().numpy(), _silence(rng)]
        used.append(utterance)
    wave = np.concatenate(parts)
    return wave + FLOOR * rng.standard_normal(len(wave)), used


def _silence(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(round(rng.uniform(0.7, 2.0) * SAMPLE_RATE))


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
    words = [sys.executable, __file__, run, "--language", language, "--file", str(file)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--language", default="fr")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        measure(options.run, options.language, options.file)
        return
    utterances = clips(RunFolder(options.run), options.language)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in (("short", 30.0), ("long", 60 * options.minutes)):
            wave, used = joined(utterances, seconds)
            soundfile.write(Path(folder) / f"{name}.wav", wave, SAMPLE_RATE)
            found[name] = measured(options.run, options.language, Path(folder) / f"{name}.wav")
            found[name]["lasts"] = len(wave) / SAMPLE_RATE
    model = load_model(options.run)
    alone = {u["wav"]: model.transcribe_file(u["wav"], options.language) for u in utterances}
    references = [u["transcription"] for u in used]
    one_by_one = 100 * jiwer.wer(references, [alone[u["wav"]] for u in used])
    long, short = found["long"], found["short"]
    in_one = 100 * jiwer.wer(" ".join(references), long["text"])
    print(f"{len(used)} clips, {long['lasts']:.0f} s")
    print("| | clips or short file | long file | ratio |\n|---|---|---|---|")
    for title, first, second in (
        ("WER, %", one_by_one, in_one),
        ("peak, MB", short["peak"], long["peak"]),
        ("s of audio, CPU s", long["lasts"], long["seconds"]),
    ):
        print(f"| {title} | {first:.2f} | {second:.2f} | {second / first:.2f} |")


if __name__ == "__main__":
    main()
