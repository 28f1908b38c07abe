#!/usr/bin/env python3
"""What decoding costs beside SpeechBrain's own searcher and CTC scorer, and how many texts differ.

    python tests/benchmarks/decoding.py results/mini

decodes a run's development set with both, on one thread, at the beams of validation and test, and
with the weights of before any training as well, which decode to the longest length. CPU time
is that of all: reading, encoder and search.
"""

import argparse
import time
from pathlib import Path
from unittest.mock import patch

import torch
from speechbrain.decoders.scorer import CTCScorer
from speechbrain.decoders.seq2seq import S2STransformerBeamSearcher

from vmsp_brain.objectives import attention, ctc_attention
from vmsp_brain.use.evaluation import ModelTest, decode
from vmsp_brain.use.inference import SpeechTranslator
from vmsp_brain.use.loading import load_model


def timed(model: SpeechTranslator, utterances: dict) -> tuple[dict, float]:
    """Hypotheses, and seconds of CPU time."""
    start = time.process_time()
    found = decode(model, utterances, batch_size=32)
    return found, time.process_time() - start


def row(name: str, model: SpeechTranslator, utterances: dict) -> str:
    """A row of the table."""
    own, seconds = timed(model, utterances)
    with (
        patch.object(attention, "IncrementalSearcher", S2STransformerBeamSearcher),
        patch.object(ctc_attention, "CTCScorer", CTCScorer),
    ):
        expected, theirs = timed(model, utterances)
    equal = sum(a == b for key in own for a, b in zip(own[key], expected[key], strict=True))
    total = sum(map(len, own.values()))
    return (
        f"| {name} | {theirs:.1f} | {seconds:.1f} | {seconds / theirs:.2f} x | {equal} of {total} |"
    )


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    run = parser.parse_args().run
    torch.set_num_threads(1)
    model = load_model(run)
    utterances = ModelTest(run, Path("nowhere"), split="dev").utterances(model.asr_text)
    decode(model, utterances, batch_size=32)  # not timed: first uses
    print("| | SpeechBrain's, CPU s | here, CPU s | ratio | equal texts |\n|---|---|---|---|---|")
    for weights in ("trained", "untrained"):
        if weights == "untrained":
            torch.manual_seed(0)
            for parameter in model.mods.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.xavier_normal_(parameter.data)
        for beam in (1, 5):
            model.hparams.search["beam_size"] = beam
            print(row(f"{weights}, beam {beam}", model, utterances), flush=True)


if __name__ == "__main__":
    main()
