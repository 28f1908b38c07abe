"""Whisper's encoder as the shared encoder, through SpeechBrain's lobe."""

from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.integrations.huggingface.whisper import Whisper
from torch import Tensor, nn

from vmsp_brain.audio import SAMPLE_RATE
from vmsp_brain.encoders.huggingface import (
    checkpoint_gradients,
    freeze_up_to,
    in_float32,
    masks,
    named_layers,
    read_config,
)
from vmsp_brain.encoders.interface import Encoder, Frames, number_of_samples


class WhisperEncoder(Encoder):
    """The encoder of a pretrained Whisper; its decoder is left out.

    Whisper hears 30 s at a time, silence after shorter speech, and attends to all of it; the frames
    of that silence are cut off from the hidden states. Its latents, one in 20 ms, are what its two
    convolutions make of the Mel spectrogram. Each utterance's spectrogram is scaled by its own
    maximum, as Whisper was trained (SpeechBrain's lobe takes the maximum of the batch).

    Arguments
    ---------
    source : str
        A folder written by ``save_pretrained`` or a name on the hub, such as openai/whisper-medium.
    save_path : str
        Where downloads are kept.
    spec_augment : bool
        Mask spans of time and of Mel bands in training as the model's configuration says
        (``mask_time_prob`` and so on, which are 0 in the published models). Self-supervision has
        masks of its own instead.
    freeze_feature_extractor : bool
        Keep the convolutions as they are.
    frozen_blocks : int
        Keep the first blocks, and all below them, as they are.
    gradient_checkpointing : bool
        Recompute activations in the backward passes, see `checkpoint_gradients`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it is of another kind or of another sampling rate.

    Example
    -------
    >>> encoder = WhisperEncoder("whisper", save_path="pretrained", frozen_blocks=1)
    >>> list(encoder.layers())
    ['front_end', 'block_01', 'block_02', 'norm']
    >>> encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.5])).lengths
    tensor([50, 25])
    """

    def __init__(
        self,
        source: str,
        save_path: str,
        spec_augment: bool = False,
        freeze_feature_extractor: bool = False,
        frozen_blocks: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        config = read_config(source, save_path, {"whisper"})
        self.lobe = Whisper(source, save_path, encoder_only=True)
        in_float32(self.lobe.model).config.apply_spec_augment = spec_augment
        self.max_samples = self.lobe.feature_extractor.n_samples
        self.max_seconds = self.max_samples / SAMPLE_RATE
        self.hop = self.lobe.feature_extractor.hop_length
        self.latent_size = self.d_model = config.d_model
        self.augments = spec_augment and masks(config)
        self.samples_per_frame = self.hop * self.encoder.conv2.stride[0]
        if freeze_feature_extractor:
            self.encoder.conv1.requires_grad_(False)
            self.encoder.conv2.requires_grad_(False)
        freeze_up_to(self, frozen_blocks)
        if gradient_checkpointing:
            checkpoint_gradients(self.lobe.model)

    @property
    def encoder(self) -> Any:
        """transformers' WhisperEncoder."""
        return self.lobe.model.encoder

    def forward(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Hidden states (B, T, D) of waveforms (B, samples) at 16 kHz, augmented in training."""
        mel = self._mel(wavs, relative_lengths)
        if self.training:
            masked = self.lobe.model._mask_input_features(
                mel.data.transpose(1, 2), attention_mask=mel.mask
            )
            mel.data = masked.transpose(1, 2)
        hidden = self.contextualize(self._convolve(mel))
        return Frames(hidden.data[:, : hidden.lengths.max()], hidden.lengths)

    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Latents (B, T, C), 50 a second, of waveforms (B, samples) at 16 kHz; T is that of 30 s.

        Raises
        ------
        ValueError
            If an utterance is longer than Whisper hears: nothing is cut off.
        """
        return self._convolve(self._mel(wavs, relative_lengths))

    def contextualize(self, latents: Frames) -> Frames:
        """Hidden states (B, T, D) of latents (B, T, C), all of which are attended to."""
        positions = self.encoder.embed_positions.weight[: latents.data.shape[1]]
        hidden = F.dropout(latents.data + positions, self.encoder.dropout, self.training)
        for block in self.encoder.layers:
            hidden = block(hidden, None)
        return Frames(self.encoder.layer_norm(hidden), latents.lengths)

    def layers(self) -> dict[str, nn.Module]:
        """The encoder's parts by name, in the order in which they are applied."""
        front_end = [self.encoder.conv1, self.encoder.conv2, self.encoder.embed_positions]
        return named_layers(front_end, self.encoder.layers, self.encoder.layer_norm)

    @torch.no_grad()
    def _mel(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Mel spectrograms, one frame in 10 ms, (B, T, F)."""
        samples = number_of_samples(wavs, relative_lengths)
        if samples.max() > self.max_samples:
            raise ValueError(
                f"Found an utterance of {samples.max() / SAMPLE_RATE:.1f} s, but Whisper hears at "
                f"most {self.max_seconds:.1f} s. Leave it out or take another encoder."
            )
        with torch.autocast(wavs.device.type, enabled=False):
            mel = torch.stack(
                [self._log_mel(wav[:n]) for wav, n in zip(wavs.float(), samples, strict=True)]
            )  # (B, F, T)
        lengths = torch.div(samples - 1, self.hop, rounding_mode="floor") + 1
        return Frames(mel.transpose(1, 2), lengths)

    def _log_mel(self, wav: Tensor) -> Tensor:
        padded = self.lobe.pad_or_trim(wav, length=self.max_samples)
        return self.lobe.log_mel_spectrogram(padded)

    def _convolve(self, mel: Frames) -> Frames:
        """Latents (B, T, C) of Mel spectrograms (B, 2T, F)."""
        convolved = F.gelu(self.encoder.conv1(mel.data.transpose(1, 2)))
        latents = F.gelu(self.encoder.conv2(convolved))
        return Frames(latents.transpose(1, 2), (mel.lengths + 1) // 2)
