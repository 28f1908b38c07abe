"""Every baseline's file: it is loaded over either base, and its model trains."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import ROOT
from tests.helpers.oracles import VOCABULARY, make_batch
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.study_file import read_study

FOLDER = ROOT / "hparams" / "baselines"
FROM_LOSSES = {"random", "dwa", "uncertainty", "imtl_l", "famo", "stch"}
FROM_GRADIENTS = {
    "pcgrad", "cagrad", "mgda", "imtl_g", "nash_mtl", "aligned_mtl", "upgrad",
}  # fmt: skip
CONSTANT = {"joint_tuned", "single_task"}
NEEDS = {"cagrad": ["cvxpy", "clarabel"], "nash_mtl": ["cvxpy", "ecos"]}
"""Packages that are not of requirements.txt."""

SMALL = {
    "languages": ["en", "fr"],
    "pairs": ["fr-en"],
    "d_model": 16,
    "nhead": 4,
    "d_ffn": 16,
    "asr_vocab_size": VOCABULARY,
    "st_vocab_size": VOCABULARY,
    "conformer": {"num_layers": 2, "front_end_channels": 4},
    "ssl": {"num_negatives": 10},
    "warmup_steps": 1,
}


def load(name: str, folder: Path, **more) -> dict:
    options = {"base": "mini.yaml", **SMALL, "output_folder": str(folder), **more}
    return ExperimentFile(str(FOLDER / f"{name}.yaml"), json.dumps(options)).load()


def missing(name: str) -> list[str]:
    return [package for package in NEEDS.get(name, []) if find_spec(package) is None]


def test_every_file_is_of_one_kind():
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files == FROM_LOSSES | FROM_GRADIENTS | CONSTANT


@pytest.mark.parametrize("name", sorted(FROM_LOSSES | FROM_GRADIENTS | CONSTANT))
def test_a_baseline_trains(tmp_path, name):
    if missing(name):
        with pytest.raises(ValueError, match=r'pip install "torchjd\[\w+\]"'):
            load(name, tmp_path)
        return
    torch.manual_seed(0)
    hparams = load(name, tmp_path)
    brain = VMSPBrain(hparams["modules"], hparams["hierarchy"], {}, hparams, {"device": "cpu"})
    brain.init_optimizers()
    brain.modules.train()
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    seen = [dict(brain.hierarchy.lambdas)]
    for epoch in (1, 2, 3):
        brain.epoch = epoch
        brain.step += 1
        brain.fit_batch(make_batch(brain, epoch, 10 * epoch))
        seen.append(dict(brain.hierarchy.lambdas))
    assert brain.optimizer_step == 3
    still = {key for key, p in brain.modules.named_parameters() if torch.equal(before[key], p)}
    assert not {key for key in still if key.startswith("encoder") and "bias" not in key}
    assert (seen[0] == seen[-1]) == (name in CONSTANT)
    assert bool(brain.gradient.plan.kept) == (name in FROM_GRADIENTS)
    if name not in FROM_GRADIENTS:  # all layers in one backward, as joint training has it
        assert brain.gradient.plan.boundary == len(brain.gradient.parameters)


def test_over_the_full_base_too(tmp_path):
    """Whose parts are found from the folder of the baselines."""
    hparams = load("dwa", tmp_path, base=None, data_folder="anywhere", ssl={})
    assert hparams["spec_augment"]
    assert hparams["hierarchy"].takes_losses
    assert len(hparams["hierarchy"].levels[0].names) == 4


@pytest.mark.parametrize(
    "name", ["study.yaml", "tune_joint.yaml", "ablation.yaml", "confirmation.yaml"]
)
def test_the_studies_files_pass(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = read_study(ROOT / "recipes" / "CoVoST" / name)
    assert len(study.runs) == len(study.experiments) * len(study.seeds)
    if name == "study.yaml":
        files = {Path(run.words[0]).stem for run in study.runs}
        assert files >= FROM_LOSSES | FROM_GRADIENTS - {*NEEDS} | CONSTANT
        assert len(study.seeds) >= 3
        assert {run.name for run in study.runs[: len(study.experiments)]} == {
            f"{name} {study.seeds[0]}" for name in study.experiments
        }
        assert study.reference == {"*": "joint"}
