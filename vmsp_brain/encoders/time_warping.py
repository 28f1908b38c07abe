"""SpecAugment's time warping, of each utterance by itself."""

from speechbrain.augment.freq_domain import Warping
from torch import Tensor, nn


class TimeWarping(nn.Module):
    """Moves a random frame of every utterance, and stretches what is before and after (Park et al.,
    SpecAugment, 2019).

    SpeechBrain's ``Warping`` moves the same frame of all utterances of a batch, their padding
    included, so that what a short one says would grow out of its length.

    Arguments
    ---------
    window : int
        Frames by which one is moved at most; 0: nothing is done, and nothing random is drawn.

    Example
    -------
    >>> import torch
    >>> filter_banks = torch.rand(2, 100, 40)
    >>> TimeWarping(window=5)(filter_banks, lengths=torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 100, 40])
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.warp = Warping(warp_window=window) if window else None

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Warped filter banks (B, T, F), given relative lengths (B,)."""
        if self.warp is None:
            return frames
        warped = frames.clone()
        valid = (lengths * frames.shape[1]).round().int().tolist()
        for utterance, length in zip(warped, valid, strict=True):
            utterance[:length] = self.warp(utterance[None, :length].clone())[0]
        return warped
