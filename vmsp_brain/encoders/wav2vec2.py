"""wav2vec 2.0, XLS-R, HuBERT and WavLM as the shared encoder, through SpeechBrain's lobes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.integrations.huggingface.hubert import HuBERT
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.integrations.huggingface.wavlm import WavLM
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vmsp_brain.encoders.huggingface import (
    checkpoint_gradients,
    freeze_up_to,
    in_float32,
    masks,
    named_layers,
    read_config,
)
from vmsp_brain.encoders.interface import Encoder, Frames, number_of_samples

LOBES = {"wav2vec2": Wav2Vec2, "hubert": HuBERT, "wavlm": WavLM}
"""SpeechBrain's lobe for each kind of model."""


class Wav2Vec2Encoder(Encoder):
    """A pretrained model that convolves the waveform and contextualizes the result.

    Its latents are the (layer-normalized) features of the convolutions, one in 20 ms. The lobe
    loads the model; it is called part by part here, for the lobe normalizes a waveform together
    with its padding. For the same reason utterances go through the convolutions one by one where
    the first is normalized over time (``feat_extract_norm: group``, the base models). Layers are
    never dropped at random, so that every objective has a gradient on every layer.

    Arguments
    ---------
    source : str
        A folder written by ``save_pretrained`` or a name on the hub, such as
        facebook/wav2vec2-xls-r-300m.
    save_path : str
        Where downloads are kept.
    spec_augment : bool
        Mask spans of time and of features in training as the model's configuration says
        (``mask_time_prob`` and so on). Self-supervision has masks of its own instead.
    freeze_feature_extractor : bool
        Keep the convolutions as they are.
    frozen_blocks : int
        Keep the first blocks, and all below them, as they are.
    gradient_checkpointing : bool
        Recompute activations in the backward passes, see `checkpoint_gradients`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it is of another kind, of another sampling rate, or has an
        adapter (which would change the frame rate).

    Example
    -------
    >>> encoder = Wav2Vec2Encoder("xls_r", save_path="pretrained")
    >>> list(encoder.layers())
    ['front_end', 'block_01', 'block_02', 'norm']
    >>> encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.5])).lengths
    tensor([49, 24])
    """

    max_seconds = math.inf
    model: Any  # transformers'

    def __init__(
        self,
        source: str,
        save_path: str,
        spec_augment: bool = True,
        freeze_feature_extractor: bool = True,
        frozen_blocks: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        config = read_config(source, save_path, LOBES)
        if getattr(config, "add_adapter", False):
            raise ValueError(f"{source}: this model has an adapter (add_adapter), expected none.")
        lobe = LOBES[config.model_type](source, save_path, apply_spec_augment=spec_augment)
        self.model = in_float32(lobe.model)
        self.model.config.layerdrop = 0.0
        self.normalize_wav = lobe.normalize_wav
        self.latent_size = config.conv_dim[-1]
        self.d_model = config.hidden_size
        self.augments = spec_augment and masks(config)
        self.samples_per_frame = math.prod(config.conv_stride)
        self.shortest = _receptive_field(config.conv_kernel, config.conv_stride)
        self.one_by_one = config.feat_extract_norm == "group"
        if not spec_augment and hasattr(self.model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad_(False)
        if freeze_feature_extractor or frozen_blocks:
            self.model.feature_extractor._freeze_parameters()
        freeze_up_to(self, frozen_blocks)
        if gradient_checkpointing:
            checkpoint_gradients(self.model)

    def forward(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Hidden states (B, T, D) of waveforms (B, samples) at 16 kHz."""
        latents = self.extract(wavs, relative_lengths)
        projected = self._project(latents)
        if self.training:
            projected = self.model._mask_hidden_states(projected, attention_mask=latents.mask)
        return self._encode(projected, latents)

    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Latents (B, T, C), 50 a second, of waveforms (B, samples) at 16 kHz."""
        wavs = F.pad(wavs, (0, max(0, self.shortest - wavs.shape[1])))
        samples = number_of_samples(wavs, relative_lengths).clamp(min=self.shortest)
        if self.normalize_wav:
            wavs = _normalized(wavs, samples)
        if self.one_by_one:
            features = pad_sequence(
                [
                    self._convolve(wav[:n].unsqueeze(0))[0]
                    for wav, n in zip(wavs, samples, strict=True)
                ],
                batch_first=True,
            )
        else:
            features = self._convolve(wavs)
        lengths = self.model._get_feat_extract_output_lengths(samples)
        norm = getattr(self.model.feature_projection, "layer_norm", None)  # some HuBERTs have none
        return Frames(features if norm is None else norm(features), lengths)

    def contextualize(self, latents: Frames) -> Frames:
        """Hidden states (B, T, D) of latents (B, T, C)."""
        return self._encode(self._project(latents), latents)

    def layers(self) -> dict[str, nn.Module]:
        """The encoder's parts by name, in the order in which they are applied."""
        model, encoder = self.model, self.model.encoder
        front_end = [model.feature_extractor, model.feature_projection, encoder.pos_conv_embed]
        if hasattr(model, "masked_spec_embed"):
            front_end.append(nn.ParameterList([model.masked_spec_embed]))
        if model.config.do_stable_layer_norm:
            return named_layers(front_end, encoder.layers, encoder.layer_norm)
        return named_layers([*front_end, encoder.layer_norm], encoder.layers, None)

    def _convolve(self, wavs: Tensor) -> Tensor:
        return self.model.feature_extractor(wavs).transpose(1, 2)  # (B, T, C)

    def _project(self, latents: Frames) -> Tensor:
        projection = self.model.feature_projection
        return projection.dropout(projection.projection(latents.data))  # (B, T, D)

    def _encode(self, projected: Tensor, latents: Frames) -> Frames:
        hidden = self.model.encoder(projected, attention_mask=latents.mask).last_hidden_state
        return Frames(hidden, latents.lengths)


def _normalized(wavs: Tensor, samples: Tensor) -> Tensor:
    """Zero mean and unit variance over each waveform's own samples, zero after them."""
    valid = Frames(wavs.unsqueeze(-1), samples).mask
    mean = (wavs * valid).sum(1, keepdim=True) / samples.unsqueeze(1)
    centred = (wavs - mean) * valid
    variance = centred.square().sum(1, keepdim=True) / samples.unsqueeze(1)
    return centred / torch.sqrt(variance + 1e-7)  # as transformers' feature extractor


def _receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Samples of which stacked convolutions make one frame."""
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field
