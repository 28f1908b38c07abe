"""The text conventions of CoVoST 2: what recognition is trained and scored on, and translation.

Recognition writes normalized text, which is the field's convention, or sentences as translation
does, with case and punctuation (``asr_text``).
"""

import re
import unicodedata

NORMALIZED, CASED = "normalized", "cased"
"""Kinds of recognition's text."""

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´＇", "'"))
_HYPHENS = str.maketrans(dict.fromkeys("‐‑", "-"))
_LETTER = r"[^\W_]"
# Punctuation that belongs to a word: an apostrophe beside a letter, a hyphen or a Catalan middle
# dot between letters.
_KEPT = re.compile(rf"(?<={_LETTER})'|'(?={_LETTER})|(?<={_LETTER})[-·](?={_LETTER})")
# Soft hyphens, zero-width spaces, marks of direction: seen by nobody, and no part of a word.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
# Persian, Hindi and others spell with the joiners ZWNJ and ZWJ; scripts that have cases do not.
_JOINERS = re.compile("([^\u200c\u200d]?)[\u200c\u200d]+")
_QUOTED = re.compile(rf"(?<!{_LETTER})'([^']+)'(?!{_LETTER})")


def normalize_transcription(text: str) -> str:
    """Text as recognition spells it: NFC, lower case, no punctuation.

    Kept are apostrophes (all kinds become '), hyphens inside words and the Catalan middle dot;
    white space is collapsed. Invisible characters go, see `_visible`.

    Arguments
    ---------
    text : str
        A sentence.

    Returns
    -------
    str

    Example
    -------
    >>> normalize_transcription("«L’home és intel·ligent», va dir l'avi - ahir!")
    "l'home és intel·ligent va dir l'avi ahir"
    """
    text = unicodedata.normalize("NFC", _visible(text)).lower()
    text = text.translate(_APOSTROPHES).translate(_HYPHENS)
    text = _QUOTED.sub(r" \1 ", text)
    kept = {match.start() for match in _KEPT.finditer(text)}
    characters = (
        character if position in kept or _is_spelled(character) else " "
        for position, character in enumerate(text)
    )
    return " ".join(_visible("".join(characters)).split())


def normalize_translation(text: str) -> str:
    """Text as translation, and cased recognition, spell it: NFC and single spaces.

    Invisible characters go, see `_visible`.
    """
    return " ".join(unicodedata.normalize("NFC", _visible(text)).split())


def _visible(text: str) -> str:
    """Text without characters that nobody sees, which would cut words in two, or be a text alone.

    Joiners stay after a letter of a script without cases, where they are spelled.
    """
    return _JOINERS.sub(_spelled_joiners, _INVISIBLE.sub("", text))


def _spelled_joiners(match: re.Match) -> str:
    before = match[1]
    return match[0] if before and unicodedata.category(before) in ("Lo", "Mn", "Mc") else before


def _is_spelled(character: str) -> bool:
    if character in "\u200c\u200d":
        return True
    return unicodedata.category(character)[0] in "LMN"  # letters, marks, numbers
