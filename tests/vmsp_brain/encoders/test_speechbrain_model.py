"""Encoders that SpeechBrain's recipes trained, from folders that SpeechBrain saved."""

import shutil
from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from small_models import noise

from vmsp_brain.encoders.speechbrain_model import speechbrain_encoder

HPARAMS = """
sample_rate: 16000
n_mels: 40
compute_features: !new:speechbrain.lobes.features.Fbank
    sample_rate: !ref <sample_rate>
    n_mels: !ref <n_mels>
normalizer: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
CNN: !new:speechbrain.lobes.models.convolution.ConvolutionFrontEnd
    input_shape: (8, 10, 40)
    num_blocks: {num_blocks}
    num_layers_per_block: 1
    out_channels: {channels}
    kernel_sizes: {kernels}
    strides: {strides}
    residuals: {residuals}
Transformer: !new:speechbrain.lobes.models.transformer.TransformerASR.TransformerASR
    input_size: 40
    tgt_vocab: 30
    d_model: 16
    nhead: 4
    num_encoder_layers: 2
    num_decoder_layers: 1
    d_ffn: 32
    dropout: 0.1
    activation: !name:torch.nn.GELU
    encoder_module: {kind}
    attention_type: {attention}
    normalize_before: True
    causal: False
ctc_lin: !new:speechbrain.nnet.linear.Linear
    input_size: 16
    n_neurons: 30
"""
TOGETHER = """
asr_model: !new:torch.nn.ModuleList
    - [!ref <CNN>, !ref <Transformer>, !ref <ctc_lin>]
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        asr: !ref <asr_model>
        normalizer: !ref <normalizer>
"""
APART = """
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        CNN: !ref <CNN>
        Transformer: !ref <Transformer>
        normalizer: !ref <normalizer>
        ctc_lin: !ref <ctc_lin>
"""
CONFORMER = {
    "num_blocks": 2, "channels": "(8, 4)", "kernels": "(3, 3)", "strides": "(2, 2)",
    "residuals": "(False, False)", "kind": "conformer", "attention": "RelPosMHAXL",
}  # fmt: skip
TRANSFORMER = {
    "num_blocks": 3, "channels": "(8, 8, 4)", "kernels": "(5, 5, 1)", "strides": "(2, 2, 1)",
    "residuals": "(False, False, True)", "kind": "transformer", "attention": "regularMHA",
}  # fmt: skip


def save_model(folder: Path, layout: str, sizes: dict) -> dict:
    """A model as SpeechBrain's recipes leave it, with statistics of some batches."""
    folder.mkdir(exist_ok=True)
    text = HPARAMS.format(**sizes) + layout
    (folder / "hyperparams.yaml").write_text(text)
    torch.manual_seed(3)
    hparams = load_hyperpyyaml(text)
    wavs, lengths = noise(1.0, 0.7)
    hparams["normalizer"].train()(hparams["compute_features"](wavs), lengths, epoch=0)
    for name, loadable in hparams["pretrainer"].loadables.items():
        if name == "normalizer":
            loadable._save(folder / f"{name}.ckpt")
        else:
            torch.save(loadable.state_dict(), folder / f"{name}.ckpt")
    return hparams


@pytest.mark.parametrize("layout", [TOGETHER, APART], ids=["together", "apart"])
@pytest.mark.parametrize("sizes", [CONFORMER, TRANSFORMER], ids=["conformer", "transformer"])
@torch.no_grad()
def test_hidden_states_are_those_of_speechbrain(tmp_path, layout, sizes, capsys):
    theirs = save_model(tmp_path, layout, sizes)
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
    save_model(tmp_path, APART, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    mean = encoder.normalize.mean.clone()
    encoder.train()(*noise(1.0, seed=9))
    assert torch.equal(encoder.normalize.mean, mean)


def test_statistics_are_saved_with_the_encoder(tmp_path):
    save_model(tmp_path, APART, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    assert {"normalize.mean", "normalize.std"} <= encoder.state_dict().keys()


def test_layers_hold_every_trainable_parameter(tmp_path):
    save_model(tmp_path, TOGETHER, CONFORMER)
    encoder = speechbrain_encoder(str(tmp_path))
    found = {id(p) for layer in encoder.layers().values() for p in layer.parameters()}
    assert found == {id(p) for p in encoder.parameters()}


def test_only_what_the_encoder_needs_is_asked_for(tmp_path):
    save_model(tmp_path, APART, CONFORMER)
    (tmp_path / "ctc_lin.ckpt").unlink()
    speechbrain_encoder(str(tmp_path))


def test_wrong_folders_are_refused_with_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"no/such/model: found neither a folder"):
        speechbrain_encoder("no/such/model")
    with pytest.raises(FileNotFoundError, match=r"has no hyperparams\.yaml"):
        speechbrain_encoder(str(tmp_path))
    save_model(tmp_path, APART, CONFORMER)
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
    save_model(tmp_path, APART.replace("        CNN: !ref <CNN>\n", ""), CONFORMER)
    with pytest.raises(ValueError, match=r"none of which holds CNN"):
        speechbrain_encoder(str(tmp_path))
