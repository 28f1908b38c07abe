#!/usr/bin/env python3
"""What the options beyond the paper cost in a training step, in CPU time, beside UAS without them.

    python -m tests.benchmarks.option_cost

Every option is set as on train.py's command line, over mini.yaml (or --base uas.yaml), and has a
process of its own with one thread, and the same random utterances. UAS's step is taken before and
after every other one, so that what slows the machine slows both. Times are medians over the rounds.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from tests.benchmarks.step_cost import Variant, measure_times
from tests.helpers.commands import ROOT
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.method.rows import DRAWS
from vmsp_brain.names import text_key
from vmsp_brain.run.experiment_file import ExperimentFile

UTTERANCES, SECONDS, TOKENS = 2, 3.0, 20
"""Of each language, and for self-supervision, in each draw; and a text's length."""


@dataclass(frozen=True)
class Setting:
    """What is given on the command line.

    Arguments
    ---------
    overrides : dict
        Keys and their values.
    file : str
        The experiment file, if another than the base.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


def _inner(task: str, **options: Any) -> Setting:
    return Setting({"objectives": {task: options}})


PLAIN = "UAS"
SETTINGS = {
    PLAIN: Setting(),
    "CR-CTC (a batch holds each utterance twice)": Setting(file="cr_ctc.yaml"),
    "CTC of an inner layer": _inner("recognition", inner_ctc_layers=["block_01"]),
    "CTC on the translation": _inner("translation", ctc_weight=0.3),
    "shared decoders": Setting({"asr_decoder": "shared", "st_decoder": "shared"}),
    "ema_decay: 0.999": Setting({"ema_decay": 0.999}),
    "decay_norms_and_biases: False": Setting({"decay_norms_and_biases": False}),
    "layer_decay: 0.9": Setting({"layer_decay": 0.9}),
    "lid: True": Setting({"lid": True}),
}


def make_step(base: str, setting: Setting, _objectives: Mapping[str, str]) -> Callable:
    """A step of training with a setting, on a batch of its own whatever it is called with."""
    folder = tempfile.mkdtemp()
    given = {"data_folder": "none", "output_folder": folder, **setting.overrides}
    if setting.file:
        given["base"] = base
    path = ROOT / "hparams" / (setting.file or base)
    hparams = ExperimentFile(str(path), json.dumps(given)).load()
    brain = VMSPBrain(
        modules=hparams["modules"],
        hierarchy=hparams["hierarchy"],
        tokenizers={},
        hparams=hparams | {"gradient_step": partial(hparams["gradient_step"], measure_every=10**9)},
        run_opts={"device": "cpu"},
    )
    brain.init_optimizers()
    brain.modules.train()
    brain.optimizer_step = 1
    batch = make_batch(hparams, hparams["languages"] if setting.file else [])

    def run(_batch: MultilingualBatch) -> None:
        brain.step += 1
        brain.fit_batch(batch)

    return run


def make_batch(hparams: Mapping[str, Any], twice: list[str]) -> MultilingualBatch:
    """Two draws of noise and random tokens for every objective."""
    rng = torch.Generator().manual_seed(0)
    objectives, items = hparams["objectives"], []
    for source in (*hparams["languages"], "ssl"):
        for number in range(DRAWS * UTTERANCES):
            item = {"id": str(number), "sig": torch.randn(round(16_000 * SECONDS), generator=rng)}
            for name, objective in objectives.items():
                if source in objective.sources and source != "ssl":
                    vocabulary = hparams.get(f"{name.partition('/')[0]}_vocab_size", 0)
                    tokens = torch.randint(4, vocabulary or 5, (TOKENS,), generator=rng)
                    item[name] = tokens if vocabulary else torch.tensor([0])
                    item[text_key(name)] = "text"
            items.append((number % DRAWS, source, item))
    return MultilingualBatch(items, twice)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="mini.yaml", help="experiment file")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    variants = {
        name: Variant(partial(make_step, options.base, setting), {"asr/en": "en"})
        for name, setting in SETTINGS.items()
    }
    found = measure_times(variants, options.rounds, PLAIN, {})
    print(f"| {options.base}, a step | CPU s | time |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {values['cpu_seconds']:.2f} | {values['time_ratio']:.2f} x |")


if __name__ == "__main__":
    main()
