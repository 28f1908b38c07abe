"""A trained model in use: from an audio file to its transcription and its translations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from vmsp_brain.data.text import NORMALIZED
from vmsp_brain.encoders import Frames
from vmsp_brain.use.pauses import STRETCH, batches
from vmsp_brain.use.recording import Recording

WINDOW = 60.0
"""Seconds of a recording that are in memory at a time, unless its longest piece has more."""

TOGETHER = 8
"""Pieces that are decoded together at most."""


@dataclass(frozen=True)
class Segment:
    """A piece of a recording.

    Arguments
    ---------
    start, end : float
        Seconds from the recording's beginning.
    texts : dict
        What each objective made of it.
    """

    start: float
    end: float
    texts: dict[str, str]


class SpeechTranslator(Pretrained):
    """Recognizes and translates speech with one shared encoder.

    ``SpeechTranslator.from_hparams(source=...)`` loads a folder that export.py made, or a
    repository of such a folder on the Hugging Face hub. A model's ``hyperparams.yaml`` can run any
    Python function: load only models that you trust.

    Arguments
    ---------
    modules : dict
        ``encoder`` and ``objectives``, as for `vmsp_brain.brain.VMSPBrain`.
    hparams : dict
        ``tokenizers``, by objective; ``search``, the keyword arguments of the objectives'
        ``search``; ``max_duration``, the seconds of the longest file that is taken whole.
    run_opts, freeze_params
        See SpeechBrain's ``Pretrained``; ``run_opts={"device": "cuda"}`` for a GPU.

    Example
    -------
    >>> model = SpeechTranslator.from_hparams(source="my_model")
    >>> model.languages, model.pairs
    (['en', 'fr'], ['fr-en'])
    >>> text = model.transcribe_file("bonjour.wav", "fr")
    >>> text = model.translate_file("bonjour.wav", "fr-en")
    """

    HPARAMS_NEEDED = ["tokenizers", "search", "max_duration"]  # noqa: RUF012, SpeechBrain's way
    MODULES_NEEDED = ["encoder", "objectives"]  # noqa: RUF012

    @property
    def languages(self) -> list[str]:
        """Languages that the model recognizes."""
        return self._names_of("asr")

    @property
    def pairs(self) -> list[str]:
        """Pairs that the model translates, such as fr-en."""
        return self._names_of("st")

    @property
    def max_seconds(self) -> float:
        """Duration of the longest file that is taken whole: what the model was trained on, or less.

        It is ``max_duration`` of the model's ``hyperparams.yaml``, which may be overridden, and no
        more than the encoder takes.
        """
        return min(self.hparams.max_duration, self.mods.encoder.max_seconds)

    @property
    def asr_text(self) -> str:
        """What recognition writes: ``normalized`` text, or ``cased``, with punctuation."""
        return getattr(self.hparams, "asr_text", NORMALIZED)

    @property
    def identifies(self) -> bool:
        """Whether the model can tell which language is spoken: it was trained with ``lid``."""
        return "lid" in self.mods.objectives

    def transcribe_file(self, path: str | Path, language: str | None = None) -> str:
        """The words spoken in an audio file of any length, sample rate and number of channels.

        Arguments
        ---------
        path : Path
            The file.
        language : str, optional
            Which is spoken; one of `languages`. A model that `identifies` it can go without.

        Raises
        ------
        FileNotFoundError, ValueError
            As `segments` does; or if the model does not know the language.
        """
        if language is None and self.identifies:
            language = self.identify(Recording(path))
        self._check("language", language, self.languages)
        return self.decode_file(path, [f"asr/{language}"])[f"asr/{language}"]

    def translate_file(self, path: str | Path, pair: str) -> str:
        """The translation of what is spoken in an audio file.

        Arguments
        ---------
        path : Path
            The file.
        pair : str
            Spoken and written language, such as fr-en; one of `pairs`.

        Raises
        ------
        FileNotFoundError, ValueError
            As `segments` does; or if the model does not know the pair.
        """
        self._check("pair", pair, self.pairs)
        return self.decode_file(path, [f"st/{pair}"])[f"st/{pair}"]

    def transcribe_batch(self, wavs: Tensor, wav_lens: Tensor, language: str) -> list[str]:
        """The words of waveforms (B, samples) at 16 kHz with relative lengths (B,)."""
        self._check("language", language, self.languages)
        name = f"asr/{language}"
        return self.decode_batch(wavs, wav_lens, [name])[name]

    def translate_batch(self, wavs: Tensor, wav_lens: Tensor, pair: str) -> list[str]:
        """The translations of waveforms (B, samples) at 16 kHz with relative lengths (B,)."""
        self._check("pair", pair, self.pairs)
        name = f"st/{pair}"
        return self.decode_batch(wavs, wav_lens, [name])[name]

    def decode_file(self, path: str | Path, names: Sequence[str]) -> dict[str, str]:
        """What several objectives make of an audio file, its `segments` one after the other.

        Arguments
        ---------
        path : Path
            The file.
        names : list of str
            Objectives, such as ``asr/fr`` and ``st/fr-en``.

        Raises
        ------
        FileNotFoundError, ValueError
            As `segments` does.
        """
        found = list(self.segments(Recording(path), names))
        return {name: " ".join(filter(None, (s.texts[name] for s in found))) for name in names}

    def segments(self, recording: Recording, names: Sequence[str]) -> Iterator[Segment]:
        """What several objectives make of a recording, in order, while it is being read.

        One that is no longer than `max_seconds` is a single segment, as in training. A longer one
        is cut at its pauses; pieces of similar length are decoded together, from one encoder
        forward.

        Arguments
        ---------
        recording : Recording
            Of any length.
        names : list of str
            Objectives, such as ``asr/fr`` and ``st/fr-en``.

        Raises
        ------
        FileNotFoundError, ValueError
            If it cannot be read, has samples that are not finite numbers, or nothing is heard.
        """
        for pieces in _windows(self._pieces(recording)):
            texts: dict[int, dict[str, str]] = {}
            for numbers in self._batches(pieces):
                found = self.decode_batch(*_read(recording, [pieces[n] for n in numbers]), names)
                for position, number in enumerate(numbers):
                    texts[number] = {name: found[name][position] for name in names}
            yield from (Segment(*piece, texts[n]) for n, piece in enumerate(pieces))

    @torch.no_grad()
    def identify(self, recording: Recording) -> str:
        """The language spoken in a recording: the most likely one in its first minute.

        Raises
        ------
        FileNotFoundError, ValueError
            As `segments` does.
        """
        pieces = next(_windows(self._pieces(recording)))
        objective, total = self.mods.objectives["lid"], torch.zeros(())
        for numbers in self._batches(pieces):
            wavs, lengths = _read(recording, [pieces[n] for n in numbers])
            with self.inference_ctx:
                found = objective.log_probabilities(self._encode(wavs, lengths)).cpu()
            total = total + (lengths.unsqueeze(1) * wavs.shape[1] * found).sum(0)
        return objective.languages[int(total.argmax())]

    def _pieces(self, recording: Recording) -> list[tuple[float, float]]:
        limit = min(STRETCH * self.max_seconds, self.mods.encoder.max_seconds)
        return recording.pieces(self.max_seconds, limit)

    def _batches(self, pieces: list[tuple[float, float]]) -> list[list[int]]:
        return batches(pieces, self.max_seconds, TOGETHER)

    def _encode(self, wavs: Tensor, wav_lens: Tensor) -> Frames:
        return self.mods.encoder(wavs.to(self.device).float(), wav_lens.to(self.device))

    @torch.no_grad()
    def decode_batch(
        self, wavs: Tensor, wav_lens: Tensor, names: Sequence[str]
    ) -> dict[str, list[str]]:
        """What several objectives make of the same waveforms, from one encoder forward.

        Arguments
        ---------
        wavs : Tensor
            At 16 kHz, (B, samples).
        wav_lens : Tensor
            Relative to the longest, (B,).
        names : list of str
            Objectives, such as ``asr/fr`` and ``st/fr-en``.

        Returns
        -------
        dict
            B texts by objective.
        """
        with self.inference_ctx:
            frames = self._encode(wavs, wav_lens)
            found = {
                name: self.mods.objectives[name].search(frames, **self.hparams.search)
                for name in names
            }
        tokenizers = self.hparams.tokenizers
        return {name: tokenizers[name].decode(tokens) for name, tokens in found.items()}

    forward = decode_batch

    def load_audio(self, path: str | Path) -> Tensor:
        """Waveform of a local audio file, mono, at 16 kHz, (samples,).

        Resampled as in training, which SpeechBrain's ``load_audio`` does not do.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not audio, shorter than a frame, silent, or has samples that are not finite.
        """
        recording = Recording(path)
        recording.check()
        return recording.read()

    def objectives_for(self, language: str, target: str | None = None) -> list[str]:
        """Names of the objectives that transcribe a language, and translate it into another.

        Raises
        ------
        ValueError
            If the model knows no such language or pair.
        """
        self._check("language", language, self.languages)
        if target is None:
            return [f"asr/{language}"]
        self._check("pair", f"{language}-{target}", self.pairs)
        return [f"asr/{language}", f"st/{language}-{target}"]

    def _names_of(self, task: str) -> list[str]:
        split = (name.partition("/") for name in self.hparams.tokenizers)
        return [rest for own, _, rest in split if own == task]

    def _check(self, what: str, found: str | None, known: list[str]) -> None:
        if found not in known:
            expected = f"one of {', '.join(known)}" if known else "nothing: the model knows none"
            raise ValueError(f"{what}: found {found!r}, expected {expected}.")


def _windows(pieces: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """Neighbouring pieces of as many seconds as are in memory at a time."""
    window: list[tuple[float, float]] = []
    for piece in pieces:
        window.append(piece)
        if sum(end - start for start, end in window) >= WINDOW:
            yield window
            window = []
    if window:
        yield window


def _read(recording: Recording, pieces: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    """Their waveforms (B, samples), and lengths relative to the longest, (B,)."""
    return tuple(PaddedBatch([{"sig": recording.read(*piece)} for piece in pieces]).sig)
