"""Training from pretrained models on disk, as a user does it."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import last_parameters, train
from tests.helpers.saved_models import save_model
from tests.helpers.saved_speechbrain_models import CONFORMER, TOGETHER, save_speechbrain_model
from tests.helpers.small_models import small_encoder_of
from vmsp_brain.encoders.speechbrain_model import speechbrain_encoder

pytestmark = pytest.mark.slow

LANGUAGES = ("--languages=[en, fr]", "--pairs=[fr-en]", "--conformer=")
EFFICIENT = ("--efficient=True", "--layer_selection={warm_up: 1, max_layers: 1, threshold: 1.0}")


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """A model of each of the two files."""
    folder = tmp_path_factory.mktemp("models")
    save_model("wav2vec2", folder / "wav2vec2", mask_time_prob=0.2, mask_time_length=2)
    save_model("whisper", folder / "whisper", seconds=5)
    return {kind: folder / kind for kind in ("wav2vec2", "whisper")}


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_a_pretrained_encoder_trains_and_tests(mini_covost, tmp_path, sources, kind):
    """Exactly in the first epoch, efficiently in the second."""
    done = train(
        f"uas_{kind}.yaml", mini_covost, tmp_path / "run", *LANGUAGES,
        f"--{kind}_source={sources[kind]}", "--freeze_feature_extractor=True", *EFFICIENT,
    )  # fmt: skip
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results["wer"]) == {"en", "fr"}
    assert set(results["bleu"]) == {"fr-en"}
    assert "block_01" in done.stdout  # the table of parameters
    start = small_encoder_of(kind, source=sources[kind], freeze_feature_extractor=True)
    trained = {
        key.partition("'")[2].rpartition("'")[0]: value
        for key, value in last_parameters(tmp_path / "run").items()
        if key.startswith("encoder(")
    }
    for name, parameter in start.named_parameters():
        assert torch.equal(parameter, trained[name]) == (not parameter.requires_grad), name
    assert sum(not p.requires_grad for p in start.parameters()) >= 4


def test_the_encoder_of_a_speechbrain_recipe_trains_and_tests(mini_covost, tmp_path):
    save_speechbrain_model(tmp_path / "model", TOGETHER, CONFORMER)
    done = train(
        "uas_speechbrain.yaml", mini_covost, tmp_path / "run", *LANGUAGES,
        f"--speechbrain_source={tmp_path / 'model'}", "--d_model=", "--number_of_epochs=1",
    )  # fmt: skip
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results["wer"]) == {"en", "fr"}
    assert "missing, stay as they were: none" in done.stdout
    start = speechbrain_encoder(str(tmp_path / "model")).state_dict()
    trained = torch.load(
        next((tmp_path / "run" / "save").glob("CKPT*")) / "encoder.ckpt", weights_only=True
    )
    assert trained.keys() == start.keys()
    moved = {name for name, value in start.items() if not torch.equal(value, trained[name])}
    assert not moved & {"normalize.mean", "normalize.std"}
    assert {name.partition(".")[0] for name in moved} == {"front_end", "conformer"}


@pytest.mark.parametrize("ssl", ["cpc.yaml", "best_rq.yaml"])
def test_other_self_supervision_on_a_pretrained_encoder(mini_covost, tmp_path, sources, ssl):
    train(
        ssl, mini_covost, tmp_path / "run", *LANGUAGES, "--base=uas_wav2vec2.yaml",
        f"--wav2vec2_source={sources['wav2vec2']}", "--number_of_epochs=1",
    )  # fmt: skip
    log = (tmp_path / "run" / "train_log.txt").read_text()
    assert "train loss ssl" in log


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("wav2vec2", ["--wav2vec2_source=nowhere"], "nowhere: found neither a folder"),
        ("wav2vec2", ["--frozen_blocks=7"], "frozen_blocks: found 7, expected 0 to 1"),
        ("whisper", [], "longer than the 1.0 s that the encoder takes"),
    ],
)
def test_what_cannot_work_stops_before_training(
    mini_covost, tmp_path, sources, kind, options, message
):
    if kind == "whisper":
        save_model("whisper", tmp_path / "whisper", seconds=1)
        options = [f"--whisper_source={tmp_path / 'whisper'}"]
    done = train(
        f"uas_{kind}.yaml", mini_covost, tmp_path / "run", *LANGUAGES,
        f"--wav2vec2_source={sources['wav2vec2']}", *options, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not (tmp_path / "run" / "train_log.txt").exists()
