#!/usr/bin/env python3
"""VMSPBrain in a recipe of your own: recognition of any languages, above self-supervision.

    python recipes/minimal/train.py DATA OUTPUT

trains on DATA/<language>.csv, manifests with the columns ID, duration, wav, language,
transcription, target_language, translation, speaker (the last three may be empty), and writes
OUTPUT/results.json. Copy this file and change what you like: the objectives and their levels are
ordinary Python.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from speechbrain.nnet.schedulers import LinearWarmupScheduler
from speechbrain.utils.train_logger import TensorboardLogger
from torch import nn
from torchjd.aggregation import MoDoWeighting

from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.manifests import (
    labelled_dataset,
    merged,
    read_manifest,
    unlabelled_dataset,
)
from vmsp_brain.data.passes import FixedBatches
from vmsp_brain.data.samplers import EvaluationSampler, MultilingualSampler
from vmsp_brain.data.tokenizers import load_tokenizer, train_tokenizer
from vmsp_brain.encoders import conformer_encoder
from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.penalties import LinearPenalty
from vmsp_brain.method.step import GradientStep
from vmsp_brain.objectives import CTCAttentionObjective, Wav2Vec2Objective

VOCABULARY, D_MODEL, EPOCHS, STEPS, BATCH = 40, 64, 2, 4, 2


def main(data: Path, output: Path) -> None:
    """Train, then test on the training data."""
    torch.manual_seed(0)
    spoken = {path.stem: read_manifest(path, data) for path in sorted(data.glob("*.csv"))}
    encoder = conformer_encoder(
        d_model=D_MODEL, nhead=4, num_layers=2, d_ffn=128, front_end_channels=16, n_mels=40
    )
    tokenizers, objectives, sources = {}, nn.ModuleDict(), {}
    for language, utterances in spoken.items():
        name, model = f"asr/{language}", output / f"{language}.model"
        train_tokenizer(model, [u["transcription"] for u in utterances.values()], VOCABULARY)
        tokenizers[name] = load_tokenizer(model)
        objectives[name] = CTCAttentionObjective(
            name=name, source=language, vocab_size=VOCABULARY, d_model=D_MODEL
        )
        sources[language] = labelled_dataset(utterances, {name: tokenizers[name]})
    objectives["ssl"] = Wav2Vec2Objective(latent_size=encoder.latent_size, d_model=D_MODEL)
    hierarchy = Hierarchy(
        [
            Level(["asr/*"], MoDoWeighting(gamma=0.01, rho=0.0)),
            Level(["ssl"], penalty=LinearPenalty(start=0.05)),
        ],
        objectives,
    )
    schedule = partial(LinearWarmupScheduler, 1e-3, num_warmup_steps=10, num_training_steps=1000)
    brain = VMSPBrain(
        modules={"encoder": encoder, "objectives": objectives},
        hierarchy=hierarchy,
        tokenizers=tokenizers,
        hparams={
            "seed": 0,
            "output_folder": str(output),
            "gradient_step": GradientStep,
            "encoder_opt_class": torch.optim.AdamW,
            "head_opt_class": torch.optim.AdamW,
            "encoder_lr_schedule": schedule(),
            "head_lr_schedule": schedule(),
            "test_search": {"beam_size": 4, "max_decode_ratio": 1.0},
            "tensorboard_logger": TensorboardLogger(str(output / "tensorboard")),
        },
        run_opts={"device": "cuda" if torch.cuda.is_available() else "cpu"},
    )
    train = MultilingualDataset({**sources, "ssl": unlabelled_dataset(merged(spoken))})
    batches = {
        source: FixedBatches(len(dataset), BATCH) for source, dataset in train.sources.items()
    }
    sampler = MultilingualSampler(batches, STEPS, seed=0)
    loader = {"collate_fn": MultilingualBatch}
    brain.fit(range(1, EPOCHS + 1), train, train_loader_kwargs={**loader, "batch_sampler": sampler})
    durations = {
        language: [utterance["duration"] for utterance in utterances.values()]
        for language, utterances in spoken.items()
    }
    brain.evaluate(
        MultilingualDataset(sources),
        test_loader_kwargs={**loader, "batch_sampler": EvaluationSampler(durations, BATCH)},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
