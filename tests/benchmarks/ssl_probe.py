#!/usr/bin/env python3
"""What each self-supervised objective alone teaches an encoder, by a linear CTC probe.

    python tests/benchmarks/ssl_probe.py data/mini_covost

trains a Conformer of two blocks (that of hparams/mini.yaml but for its depth) on mini-CoVoST's
audio with each objective by itself, then freezes it and trains one linear layer with CTC over
characters, in all languages at once, on its hidden states. The layer gives two labels for each
frame of 40 ms, for the synthetic voices speak quickly (19 characters a second in the median). The
same probe on the untrained encoder is the mark to beat. All start from the same weights and see
the same audio in the same order. Prints a table for the documents.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import jiwer
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.decoders.ctc import ctc_greedy_decode
from speechbrain.nnet.losses import ctc_loss
from speechbrain.utils.data_utils import batch_pad_right
from torch import Tensor, nn
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes" / "CoVoST"))

from corpus.prepare import prepare_covost  # noqa: E402
from vmsp_brain.audio import load_audio  # noqa: E402
from vmsp_brain.data.manifests import manifest_path, read_manifest  # noqa: E402
from vmsp_brain.encoders import Encoder, Frames  # noqa: E402
from vmsp_brain.run.experiment_file import ExperimentFile  # noqa: E402

OBJECTIVES = {
    "CPC": ("cpc.yaml", "window: 8, steps: 4"),
    "BEST-RQ": ("best_rq.yaml", "num_codes: 64"),
    "wav2vec 2.0": ("mini.yaml", "num_negatives: 50"),
}
"""File, and what is smaller than there, as the audio is short and little."""

SEED = 1234
BLANK = 0
LABELS_PER_FRAME = 2


def main() -> None:
    """Train, probe, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--manifests", type=Path, default=Path("results/ssl_probe/manifests"))
    parser.add_argument("--steps", type=int, default=5000, help="of self-supervision")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--probe_steps", type=int, default=600)
    arguments = parser.parse_args()
    languages = experiment("mini.yaml")["languages"]
    prepare_covost(arguments.data_folder, arguments.manifests, languages, [])
    train, test = (
        utterances(arguments.manifests, arguments.data_folder, languages, split)
        for split in ("train", "test")
    )
    print("| encoder | CER % | WER % |\n|---|---|---|", flush=True)
    untrained = probe(experiment("mini.yaml")["encoder"], train, test, arguments)
    print_row("untrained", *untrained)
    for title, (file, ssl) in OBJECTIVES.items():
        hparams = experiment(file, ssl)
        self_supervise(hparams["encoder"], hparams["objectives"]["ssl"], train, arguments, title)
        print_row(title, *probe(hparams["encoder"], train, test, arguments))


def print_row(title: str, cer: float, wer: float) -> None:
    """A row of the table, as soon as it is known."""
    print(f"| {title} | {cer:.1f} | {wer:.1f} |", flush=True)


def experiment(file: str, ssl: str = "") -> dict:
    """The experiment at laptop scale; the encoder's first weights are always the same."""
    base = "" if file == "mini.yaml" else "base: mini.yaml\n"
    overrides = (
        f"{base}seed: {SEED}\noutput_folder: results/ssl_probe\nconformer: {{num_layers: 2}}\n"
        f"ssl: {{{ssl}}}"
    )
    return ExperimentFile(str(ROOT / "hparams" / file), overrides).load()


def utterances(
    manifests: Path, data_folder: Path, languages: list[str], split: str
) -> list[tuple[Tensor, str]]:
    """Waveform and transcription of every utterance of a split."""
    rows = [
        row
        for language in languages
        for row in read_manifest(manifest_path(manifests, language, split), data_folder).values()
    ]
    return [(load_audio(row["wav"]), row["transcription"]) for row in tqdm(rows, split)]


def batches(size: int, batch_size: int) -> Iterator[list[int]]:
    """Batches of indices without end, a new order in each pass."""
    generator = torch.Generator().manual_seed(SEED)
    while True:
        order = torch.randperm(size, generator=generator).tolist()
        yield from (order[i : i + batch_size] for i in range(0, size - batch_size + 1, batch_size))


def self_supervise(encoder: Encoder, objective: nn.Module, train, arguments, title: str) -> None:
    """Train the encoder with the objective alone."""
    optimizer = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()], lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, arguments.steps, pct_start=0.1)
    chosen = itertools.islice(batches(len(train), arguments.batch_size), arguments.steps)
    progress = tqdm(chosen, title, arguments.steps)
    for step, indices in enumerate(progress):
        batch = PaddedBatch([{"sig": train[index][0]} for index in indices])
        objective.begin_step(step)
        loss = objective.loss(objective.encode(encoder, batch), batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*encoder.parameters(), *objective.parameters()], 5.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")


def probe(encoder: Encoder, train, test, arguments) -> tuple[float, float]:
    """Character and word error rate (%) on the test set of a linear layer on the hidden states."""
    encoder.eval()
    characters = sorted({character for _, text in train for character in text})
    number = {character: index for index, character in enumerate(characters, start=1)}
    states = encode(encoder, [wav for wav, _ in train])
    targets = [torch.tensor([number[character] for character in text]) for _, text in train]
    torch.manual_seed(SEED)
    layer = nn.Sequential(
        nn.Linear(encoder.d_model, LABELS_PER_FRAME * (1 + len(characters))),
        nn.Unflatten(-1, (LABELS_PER_FRAME, -1)),
        nn.Flatten(1, 2),
    )  # (B, T, D) to (B, 2 T, labels)
    norm = nn.BatchNorm1d(encoder.d_model, affine=False)  # encoders differ in scale
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, arguments.probe_steps)
    chosen = itertools.islice(batches(len(train), 64), arguments.probe_steps)
    for indices in tqdm(chosen, "probe", arguments.probe_steps):
        data, lengths = batch_pad_right([states[index] for index in indices])
        tokens, token_lengths = batch_pad_right([targets[index] for index in indices])
        logits = layer(norm(data.transpose(1, 2)).transpose(1, 2))
        loss = ctc_loss(logits.log_softmax(-1), tokens, lengths, token_lengths, BLANK)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    data, lengths = batch_pad_right(encode(encoder, [wav for wav, _ in test]))
    with torch.no_grad():
        scores = layer(norm.eval()(data.transpose(1, 2)).transpose(1, 2)).log_softmax(-1)
    decoded = ctc_greedy_decode(scores, lengths, blank_id=BLANK)
    found = ["".join(characters[token - 1] for token in tokens) for tokens in decoded]
    references = [text for _, text in test]
    return 100 * jiwer.cer(references, found), 100 * jiwer.wer(references, found)


@torch.no_grad()
def encode(encoder: Encoder, wavs: list[Tensor]) -> list[Tensor]:
    """Hidden states (T, D) of every utterance."""
    states = []
    for start in range(0, len(wavs), 32):
        frames: Frames = encoder(*batch_pad_right(wavs[start : start + 32]))
        states += [data[:length] for data, length in zip(frames.data, frames.lengths, strict=True)]
    return states


if __name__ == "__main__":
    main()
