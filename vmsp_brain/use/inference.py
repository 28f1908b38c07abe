"""A trained model in use: from an audio file to its transcription and its translations."""

from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.dataio import audio_io
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from vmsp_brain.audio import SAMPLE_RATE, SHORTEST, SILENCE, is_silent, mono_at_model_rate


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
        ``search``; ``max_duration``, the seconds of the longest file that is taken.
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
        """Duration of the longest file that is taken: what the model was trained on, or less.

        It is ``max_duration`` of the model's ``hyperparams.yaml``, which may be overridden, and no
        more than the encoder takes.
        """
        return min(self.hparams.max_duration, self.mods.encoder.max_seconds)

    def transcribe_file(self, path: str | Path, language: str) -> str:
        """The words spoken in an audio file of any sample rate and number of channels.

        Arguments
        ---------
        path : Path
            The file.
        language : str
            Which is spoken; one of `languages`.

        Raises
        ------
        FileNotFoundError, ValueError
            As `load_audio` does; or if the model does not know the language.
        """
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
            As `load_audio` does; or if the model does not know the pair.
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
        """What several objectives make of an audio file, from one encoder forward.

        Arguments
        ---------
        path : Path
            The file.
        names : list of str
            Objectives, such as ``asr/fr`` and ``st/fr-en``.

        Raises
        ------
        FileNotFoundError, ValueError
            As `load_audio` does.
        """
        wavs = self.load_audio(path).unsqueeze(0)
        return {
            name: text for name, [text] in self.decode_batch(wavs, torch.ones(1), names).items()
        }

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
            frames = self.mods.encoder(wavs.to(self.device).float(), wav_lens.to(self.device))
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
            If it is not audio, shorter than a frame, longer than `max_seconds`, silent, or has
            samples that are not finite.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: there is no such file.")
        try:
            self._check_duration(path, audio_io.info(str(path)).duration)
            waveform = mono_at_model_rate(*audio_io.load(str(path)))
        except RuntimeError as error:
            raise ValueError(
                f"{path} cannot be read as audio ({error}). It is damaged or of a kind that "
                "libsndfile does not know; try WAV, FLAC, MP3 or OGG."
            ) from error
        _check_sound(path, waveform)
        return waveform

    def _check_duration(self, path: str | Path, seconds: float) -> None:
        """Before anything is decoded: hours of audio may not fit into memory."""
        if seconds > self.max_seconds:
            raise ValueError(
                f"{path} holds {seconds:.1f} s of audio, expected at most {self.max_seconds:g} s. "
                "Cut it at pauses; or set max_duration (the longest clip that the model was "
                f"trained on; the encoder takes {self.mods.encoder.max_seconds:g} s)."
            )

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

    def _check(self, what: str, found: str, known: list[str]) -> None:
        if found not in known:
            expected = f"one of {', '.join(known)}" if known else "nothing: the model knows none"
            raise ValueError(f"{what}: found {found!r}, expected {expected}.")


def _check_sound(path: str | Path, waveform: Tensor) -> None:
    seconds = len(waveform) / SAMPLE_RATE
    if seconds < SHORTEST:
        raise ValueError(f"{path} holds {seconds:.3f} s of audio, expected at least {SHORTEST} s.")
    if not waveform.isfinite().all():
        raise ValueError(f"{path} has samples that are not finite numbers. Make the file anew.")
    if is_silent(waveform):
        raise ValueError(
            f"{path} is silent: no sample is above {SILENCE:g} of full scale. Expected speech."
        )
