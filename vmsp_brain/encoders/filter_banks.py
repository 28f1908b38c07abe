"""Log-Mel filter banks that do not depend on what an utterance is batched with."""

import torch
from speechbrain.lobes.features import Fbank
from torch import Tensor, nn

from vmsp_brain.encoders.interface import Frames, number_of_samples


def normalized_filter_banks(
    features: Fbank, normalize: nn.Module, wavs: Tensor, relative_lengths: Tensor
) -> Frames:
    """Filter banks (B, T, F), normalized over the valid frames; without gradient, in float32.

    Arguments
    ---------
    features : Fbank
        SpeechBrain's filter banks.
    normalize : Module
        Takes filter banks and relative lengths, SpeechBrain's ``InputNormalization`` for example.
    wavs : Tensor
        (B, samples) at the features' sampling rate.
    relative_lengths : Tensor
        Relative to ``samples``, (B,).
    """
    with torch.no_grad(), torch.autocast(wavs.device.type, enabled=False):
        filter_banks = features(wavs.float())
        hop = features.compute_STFT.hop_length
        lengths = number_of_samples(wavs, relative_lengths) // hop + 1
        # Half a frame less, for SpeechBrain's mask rounds 52/201 of 201 frames up to 53.
        relative = (lengths - 0.5) / filter_banks.shape[1]
        return Frames(normalize(filter_banks, relative), lengths)


def constants_follow(features: nn.Module) -> None:
    """Let the constants of SpeechBrain's filter banks move to a device with the module.

    They are plain attributes there, copied at every call, for which the CPU waits.
    """
    for module in features.modules():
        constants = {key: value for key, value in vars(module).items() if torch.is_tensor(value)}
        for name, value in constants.items():
            delattr(module, name)
            module.register_buffer(name, value, persistent=False)
