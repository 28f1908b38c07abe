"""Augmentation of training waveforms by SpeechBrain, with noises and rooms of one's own.

What is random comes from torch's (and Python's) generator alone, which a run seeds anew in every
step: a run that goes on hears what it would have heard. SpeechBrain's ``AddNoise`` and
``AddReverb`` read their files from loaders that go on from batch to batch, so that there it depends
on when the run was started.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.augment.time_domain import AddNoise
from speechbrain.dataio import audio_io
from speechbrain.dataio.batch import PaddedBatch, PaddedData
from speechbrain.processing.signal_processing import reverberate
from torch import Tensor, nn

from vmsp_brain.audio import SAMPLE_RATE, audio_files, is_silent, mono_at_model_rate

WHITE = "white"
"""In place of a folder of noises."""


def augment_waveforms(part: PaddedBatch, declared: Mapping[str, Any] | None) -> None:
    """Put augmented waveforms in the place of a batch's; its targets stay.

    All that reads the batch hears the same, self-supervision and its targets too. Padding is zero
    again, so that an utterance does not depend on what it is batched with.

    Arguments
    ---------
    part : PaddedBatch
        With the waveforms ``sig``, (B, samples) at 16 kHz.
    declared : dict, optional
        ``augment``: SpeechBrain's ``Augmenter``, or anything else that gives waveforms and relative
        lengths, given those; see ``hparams/parts/wav_augment.yaml``. None for no augmentation.

    Raises
    ------
    ValueError
        If it gives more utterances, or fewer, than there are targets.
    """
    if not declared:
        return
    wavs, lengths = part.sig
    with torch.no_grad():
        augmented, lengths = declared["augment"](wavs, lengths)
    if len(augmented) != len(wavs):
        raise ValueError(
            f"wav_augment: found {len(augmented)} waveforms of a batch of {len(wavs)}, expected as "
            "many. Set the Augmenter's parallel_augment and concat_original to False, and "
            "repeat_augment to 1."
        )
    part.sig = PaddedData(augmented * _valid(augmented, lengths), lengths)


def slowest(declared: Mapping[str, Any] | None) -> float:
    """The share of its own speed at which an utterance is played at the slowest."""
    return min(100, *(declared or {}).get("speeds", [100])) / 100


class Recordings:
    """The audio files of a folder, and of those in it, drawn at random.

    Arguments
    ---------
    folder : str
        The folder.
    key : str
        By which key of ``wav_augment`` it is given, for messages.

    Raises
    ------
    FileNotFoundError
        If it is not there, or holds no audio.
    """

    def __init__(self, folder: str, key: str) -> None:
        self.key = f"wav_augment[{key}]"
        self.paths = audio_files(folder, self.key)

    def draw(self, samples: int | None = None) -> Tensor:
        """A file's waveform at 16 kHz, (samples,): whole, or a part of this length, a shorter one
        again and again.

        Raises
        ------
        ValueError
            If it is no audio, silent as a whole, or has samples that are no numbers.
        """
        path = self.paths[int(torch.randint(len(self.paths), ()))]
        try:
            info = audio_io.info(str(path))
            wanted = -1 if samples is None else -(-samples * info.sample_rate // SAMPLE_RATE)
            spare = 0 if samples is None else max(0, info.num_frames - wanted)
            start = int(torch.randint(spare + 1, ()))
            loaded = audio_io.load(str(path), frame_offset=start, num_frames=wanted)
        except RuntimeError as error:
            raise ValueError(self._unusable(path, f"cannot be read as audio ({error})")) from error
        waveform = mono_at_model_rate(*loaded)
        if not len(waveform) or not waveform.isfinite().all():
            raise ValueError(self._unusable(path, "has no samples, or such that are no numbers"))
        if samples is None:
            if is_silent(waveform):
                raise ValueError(self._unusable(path, "is silent"))
            return waveform
        return waveform.repeat(-(-samples // len(waveform)))[:samples]

    def _unusable(self, path: Path, why: str) -> str:
        return f"{self.key}: {path} {why}. Take it out of the folder."


class Noise(AddNoise):
    """SpeechBrain's ``AddNoise``, of white noise or one's own recordings, one for each utterance.

    Arguments
    ---------
    source : str, optional
        ``white``, or a folder of recordings; nothing is added if not given.
    snr_low, snr_high : float
        Least and greatest ratio of speech to noise, in dB.

    Example
    -------
    >>> wavs = torch.rand(2, 16000)
    >>> Noise("white", snr_low=10, snr_high=20)(wavs, torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 16000])
    """

    def __init__(self, source: str | None, snr_low: float = 0.0, snr_high: float = 15.0) -> None:
        super().__init__(snr_low=snr_low, snr_high=snr_high, noise_funct=self._within_utterances)
        self.is_on = source is not None
        self.recordings = None if source is None or source == WHITE else Recordings(source, "noise")
        self._mask = torch.ones(1, 1)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Noisy waveforms (B, samples), given relative lengths (B,)."""
        if not self.is_on:
            return waveforms
        self._mask = _valid(waveforms, lengths)
        return super().forward(waveforms, lengths)

    def _within_utterances(self, waveforms: Tensor) -> Tensor:
        """The noise, (B, samples); what is in the padding would count in its level."""
        if self.recordings is None:
            return torch.randn_like(waveforms) * self._mask
        drawn = [self.recordings.draw(waveforms.shape[1]) for _ in waveforms]
        return torch.stack(drawn).to(waveforms) * self._mask


class Reverb(nn.Module):
    """SpeechBrain's reverberation in rooms of one's own, one for each batch.

    Arguments
    ---------
    folder : str, optional
        Of impulse responses; nothing is changed if not given.
    """

    def __init__(self, folder: str | None) -> None:
        super().__init__()
        self.recordings = None if folder is None else Recordings(folder, "reverb")

    def forward(self, waveforms: Tensor) -> Tensor:
        """Reverberant waveforms, (B, samples)."""
        if self.recordings is None:
            return waveforms
        return reverberate(waveforms, self.recordings.draw().to(waveforms))


def _valid(wavs: Tensor, lengths: Tensor) -> Tensor:
    """1 where a sample is not padding, else 0, (B, samples)."""
    numbers = torch.arange(wavs.shape[1], device=wavs.device)
    samples = (lengths.unsqueeze(1) * wavs.shape[1]).round()
    return (numbers < samples).to(wavs.dtype)
