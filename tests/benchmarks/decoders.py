#!/usr/bin/env python3
"""What decoders for many languages take: one for each, and one for all of a task.

    python -m tests.benchmarks.decoders

prints a Markdown table. Parameters are those of uas.yaml's heads for N languages and their pairs
into English; memory is what a process of its own holds at its peak beyond what it held before, for
heads of width 256 with AdamW's state, after a step of every objective.
"""

import multiprocessing
from functools import partial

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import nn

from tests.benchmarks.step_cost import peak_memory
from vmsp_brain.encoders import Frames
from vmsp_brain.names import text_key
from vmsp_brain.objectives import BestRQObjective, CTCAttentionObjective, multilingual_objectives

NUMBERS = (5, 20)
WIDTH, FFN, VOCABULARY = 512, 2048, 300
SMALL = {"d_model": 256, "d_ffn": 1024, "nhead": 4}


def heads(languages: int, decoder: str, d_model: int, d_ffn: int, nhead: int) -> nn.ModuleDict:
    """Recognition and translation into English of so many languages, English among them."""
    others = [f"x{chr(ord('a') + number)}" for number in range(languages - 1)]
    sizes = {"vocab_size": VOCABULARY, "d_model": d_model, "d_ffn": d_ffn, "nhead": nhead}
    kind = partial(CTCAttentionObjective, **sizes)
    ssl = partial(BestRQObjective, latent_size=4, d_model=4, samples_per_frame=640, num_codes=4)
    return multilingual_objectives(
        ["en", *others],
        [f"{language}-en" for language in others],
        recognition=partial(kind, num_layers=2),
        translation=partial(kind, num_layers=4, ctc_weight=0.0),
        ssl=ssl,
        only=["asr/*", "st/*"],
        asr_decoder=decoder,
        st_decoder=decoder,
    )


def measure_memory(connection, languages: int, decoder: str) -> None:
    """A process: MiB of a step of all heads."""
    torch.set_num_threads(1)
    before = peak_memory()
    made = heads(languages, decoder, **SMALL)
    optimizer = torch.optim.AdamW(made.parameters())
    frames = Frames(torch.rand(2, 50, SMALL["d_model"]), torch.tensor([50, 40]))
    for name, objective in made.items():
        item = {name: torch.tensor([5, 6, 7]), text_key(name): "text", "id": "a"}
        objective.loss(frames, PaddedBatch([item, item])).backward()
    optimizer.step()
    connection.send((peak_memory() - before) / 2**20)


def memory_of(languages: int, decoder: str) -> float:
    """MiB, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    connection, other = context.Pipe()
    context.Process(target=measure_memory, args=(other, languages, decoder), daemon=True).start()
    return connection.recv()


def main() -> None:
    """Print the table."""
    print("| languages | decoders | parameters | memory of a step, MiB |\n|---|---|---|---|")
    for languages in NUMBERS:
        for decoder in ("separate", "shared"):
            with torch.device("meta"):
                made = heads(languages, decoder, WIDTH, FFN, 8)
            millions = sum(parameter.numel() for parameter in made.parameters()) / 1e6
            memory = memory_of(languages, decoder)
            print(f"| {languages} | {decoder} | {millions:.1f} M | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
