"""Encoders that SpeechBrain's recipes trained, from folders that SpeechBrain saved."""

import shutil

import pytest
import torch

from tests.helpers.saved_speechbrain_models import (
    APART,
    CONFORMER,
    HPARAMS,
    TOGETHER,
    TRANSFORMER,
    save_speechbrain_model,
)
from tests.helpers.small_models import noise
from vmsp_brain.encoders.speechbrain_model import speechbrain_encoder


@pytest.mark.parametrize("layout", [TOGETHER, APART], ids=["together", "apart"])
@pytest.mark.parametrize("sizes", [CONFORMER, TRANSFORMER], ids=["conformer", "transformer"])
@torch.no_grad()
def test_hidden_states_are_those_of_speechbrain(tmp_path, layout, sizes, capsys):
    theirs = save_speechbrain_model(tmp_path, layout, sizes)
    encoder = speechbrain_encoder(str(tmp_path)).eval()
    for key in ("normalizer", "CNN", "Transformer"):
        theirs[key].eval()
    wavs, lengths = noise(1.3, seed=4)
    features = theirs["normalizer"](theirs["compute_features"](wavs), lengths)
    expected = theirs["Transformer"].encode(theirs["CNN"](features), lengths)
    found = encoder(wavs, lengths)
    assert found.lengths.tolist() == [expected.shape[1]]
    assert (found.data - expected).norm() <= 1e-5 * expected.norm()
    assert encoder.samples_per_frame == 640
    printed = capsys.readouterr().out
    assert "missing, stay as they were: none" in printed
    assert "decoder" in printed.partition("left out: ")[2]  # it is, and that is said
    assert ("2.w (" in printed) == (layout == TOGETHER)


@torch.no_grad()
def test_training_leaves_the_statistics_as_they_are(tmp_path):
    save_speechbrain_model(tmp_path, APART, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    mean = encoder.normalize.mean.clone()
    encoder.train()(*noise(1.0, seed=9))
    assert torch.equal(encoder.normalize.mean, mean)


def test_statistics_are_saved_with_the_encoder(tmp_path):
    save_speechbrain_model(tmp_path, APART, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    assert {"normalize.mean", "normalize.std"} <= encoder.state_dict().keys()


def test_layers_hold_every_trainable_parameter(tmp_path):
    save_speechbrain_model(tmp_path, TOGETHER, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    found = {id(p) for layer in encoder.layers().values() for p in layer.parameters()}
    assert found == {id(p) for p in encoder.parameters()}


def test_only_what_the_encoder_needs_is_asked_for(tmp_path):
    save_speechbrain_model(tmp_path, APART, CONFORMER)
    (tmp_path / "ctc_lin.ckpt").unlink()
    speechbrain_encoder(str(tmp_path))


def test_wrong_folders_are_refused_with_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"no/such/model: found neither a folder"):
        speechbrain_encoder("no/such/model")
    with pytest.raises(FileNotFoundError, match=r"has no hyperparams\.yaml"):
        speechbrain_encoder(str(tmp_path))
    save_speechbrain_model(tmp_path, APART, CONFORMER)
    with pytest.raises(ValueError, match=r"has no key encoder\. Its keys are sample_rate"):
        speechbrain_encoder(str(tmp_path), conformer="encoder")
    with pytest.raises(ValueError, match=r"audio at 8000 Hz, expected 16000 Hz"):
        speechbrain_encoder(str(tmp_path), overrides={"sample_rate": 8000})
    shutil.copy(tmp_path / "CNN.ckpt", tmp_path / "kept")
    (tmp_path / "CNN.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"CNN\.ckpt is missing"):
        speechbrain_encoder(str(tmp_path))
    shutil.move(tmp_path / "kept", tmp_path / "CNN.ckpt")
    wider = {**CONFORMER, "channels": "(12, 4)"}
    (tmp_path / "hyperparams.yaml").write_text(HPARAMS.format(**wider) + APART)
    with pytest.raises(ValueError, match=r"CNN\.ckpt: .*\n.*convblock_0.* there, .* here"):
        speechbrain_encoder(str(tmp_path))


def test_a_part_that_no_file_holds_is_named(tmp_path):
    save_speechbrain_model(tmp_path, APART.replace("        CNN: !ref <CNN>\n", ""), CONFORMER)
    with pytest.raises(ValueError, match=r"none of which holds CNN"):
        speechbrain_encoder(str(tmp_path))
