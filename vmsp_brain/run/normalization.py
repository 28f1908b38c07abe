"""How texts are normalized for a second word error rate, beside that of what was written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vmsp_brain.data.text import CASED, NORMALIZED, normalize_transcription

NORMALIZERS = COVOST, WHISPER = "covost", "whisper"
"""Those that there are."""


@dataclass(frozen=True)
class Normalizer:
    """A way to normalize.

    Arguments
    ---------
    signature : str
        What makes its figures, for reports.
    normalize : callable
        Of a text and its language.
    """

    signature: str
    normalize: Callable[[str, str], str]

    def __call__(self, text: str, language: str) -> str:
        """The text, normalized."""
        return self.normalize(text, language)


def normalizer_of(settings: Mapping[str, Any]) -> Normalizer | None:
    """What an experiment's second word error rate is normalized by; None if it has no such.

    Arguments
    ---------
    settings : dict
        ``wer_normalizer``: ``covost``, `normalize_transcription`, by which texts are normalized
        already unless ``asr_text`` is ``cased``; or ``whisper``, transformers' normalizers of
        Whisper, for figures that are to be compared with its.

    Example
    -------
    >>> normalizer = normalizer_of({"asr_text": "cased"})
    >>> normalizer("L'eau est froide, dit-il.", "fr")
    "l'eau est froide dit-il"
    >>> normalizer_of({"asr_text": "normalized"}) is None
    True
    """
    if (settings.get("wer_normalizer") or COVOST) == WHISPER:
        return _of_whisper()
    if settings.get("asr_text", NORMALIZED) == CASED:
        return Normalizer("vmsp_brain.data.text", lambda text, _: normalize_transcription(text))
    return None


def _of_whisper() -> Normalizer:
    """Its table of English spellings comes with Whisper's models, not with transformers."""
    import transformers  # takes seconds
    from transformers.models.whisper import english_normalizer

    english = english_normalizer.EnglishTextNormalizer({})
    other = english_normalizer.BasicTextNormalizer()

    def normalize(text: str, language: str) -> str:
        return (english if language.partition("-")[0] == "en" else other)(text).strip()

    return Normalizer(
        f"transformers {transformers.__version__}: Whisper's EnglishTextNormalizer without its "
        "table of spellings (en), BasicTextNormalizer (others)",
        normalize,
    )
