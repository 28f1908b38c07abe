"""Models as SpeechBrain's recipes leave them on disk, with random weights, made in a moment."""

from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml

from tests.helpers.small_models import noise

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


def save_speechbrain_model(folder: Path, layout: str, sizes: dict) -> dict:
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
