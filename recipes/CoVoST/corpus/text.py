"""The text conventions of CoVoST 2: what recognition is trained and scored on, and translation."""

import re
import unicodedata

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´＇", "'"))
_HYPHENS = str.maketrans(dict.fromkeys("‐‑", "-"))
# Punctuation that belongs to a word: an apostrophe beside a letter, a hyphen or a Catalan middle
# dot between letters.
_KEPT = re.compile(r"(?<=\w)'|'(?=\w)|(?<=\w)[-·](?=\w)")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)")


def normalize_transcription(text: str) -> str:
    """Text as recognition spells it: NFC, lower case, no punctuation.

    Kept are apostrophes (all kinds become '), hyphens inside words and the Catalan middle dot;
    white space is collapsed.

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
    text = unicodedata.normalize("NFC", text).lower()
    text = text.translate(_APOSTROPHES).translate(_HYPHENS)
    text = _QUOTED.sub(r" \1 ", text)
    kept = {match.start() for match in _KEPT.finditer(text)}
    characters = (
        character if position in kept or _is_spelled(character) else " "
        for position, character in enumerate(text)
    )
    return " ".join("".join(characters).split())


def normalize_translation(text: str) -> str:
    """Text as translation spells it: NFC and single spaces; case and punctuation stay."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _is_spelled(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"  # letters, marks, numbers
