#!/usr/bin/env python3
"""What augmentation adds to a training step, in CPU time of one thread.

    python -m tests.benchmarks.augmentation

prints a Markdown table: as a share of the exact step of step_cost.py on the same batch, medians
over rounds in which all take turns. Noises are files of 10 s, rooms of half a second, at 16 kHz.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
import torch
from speechbrain.augment.time_domain import SpeedPerturb
from tqdm import tqdm

from tests.benchmarks.step_cost import N_MELS, PAPER, SECONDS, UTTERANCES, make_batch, vmsp
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.data.wav_augment import Noise, Reverb, augment_waveforms
from vmsp_brain.encoders.time_warping import TimeWarping

FILES = {"noise": 10.0, "rooms": 0.5}
"""Seconds."""


def folders(above: Path) -> dict[str, str]:
    """Of white noise, eight files each; in rooms it fades."""
    for name, seconds in FILES.items():
        (above / name).mkdir()
        samples = round(16_000 * seconds)
        fading = torch.exp(-torch.arange(samples) / 1_000) if name == "rooms" else torch.ones(1)
        for number in range(8):
            wave = 0.1 * fading * torch.randn(samples)
            soundfile.write(above / name / f"{number}.wav", wave.numpy(), 16_000)
    return {name: str(above / name) for name in FILES}


def waveforms(module: Callable[..., Any]) -> Callable[[MultilingualBatch], None]:
    """Augments all waveforms of a batch, as a step does."""

    def change(wavs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = module(wavs, lengths) if isinstance(module, Noise) else module(wavs)
        return made, lengths

    def augment(batch: MultilingualBatch) -> None:
        for draw in batch.draws:
            for part in draw.values():
                augment_waveforms(part, {"augment": change})

    return augment


def filter_banks(module: TimeWarping) -> Callable[[MultilingualBatch], None]:
    """Augments as many filter banks as a step has."""
    of_a_part = torch.randn(UTTERANCES // len(set(PAPER.values())), round(100 * SECONDS), N_MELS)

    def augment(batch: MultilingualBatch) -> None:
        for draw in batch.draws:
            for part in draw.values():
                module(of_a_part, part.sig.lengths)

    return augment


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as above:
        own = folders(Path(above))
        variants = {
            "a step": vmsp(PAPER),
            "speeds: [90, 100, 110]": waveforms(SpeedPerturb(16_000, [90, 100, 110])),
            "noise: white": waveforms(Noise("white")),
            "noise: a folder": waveforms(Noise(own["noise"])),
            "reverb: a folder": waveforms(Reverb(own["rooms"])),
            "time_warp: 5": filter_banks(TimeWarping(5)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for number in tqdm(range(rounds + 1)):
            for name, variant in variants.items():
                batch = make_batch(PAPER)
                start = time.process_time()
                variant(batch)
                if number:  # before it are first uses
                    seconds[name].append(time.process_time() - start)
    step = statistics.median(seconds["a step"])
    print("| option | CPU s | of a step |\n|---|---|---|")
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"| {name} | {median:.3f} | {100 * median / step:.1f} % |")


if __name__ == "__main__":
    main()
