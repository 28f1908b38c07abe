"""The names of objectives: ``asr/fr`` recognizes French, ``st/fr-en`` translates it into English,
``ssl`` is self-supervision.
"""

import re
from collections.abc import Mapping

_LANGUAGE = "([a-z]{2,3}(?:-[A-Z]{2})?)"


def check_language(language: str) -> None:
    """Refuse what is no language code.

    Raises
    ------
    ValueError
        If it is malformed. A code is lower case, its region upper case.
    """
    if not re.fullmatch(_LANGUAGE, language):
        raise ValueError(f"languages: found {language!r}, expected codes such as fr or zh-CN.")


def split_pair(pair: str) -> tuple[str, str]:
    """Source and target language of a pair such as ``fr-en`` or ``zh-CN-en``.

    Raises
    ------
    ValueError
        If the pair is malformed. A language code is lower case, its region upper case.
    """
    match = re.fullmatch(f"{_LANGUAGE}-{_LANGUAGE}", pair)
    if not match:
        raise ValueError(
            f"pairs: found {pair!r}, expected source-target such as fr-en or zh-CN-en."
        )
    return match[1], match[2]


def text_key(name: str) -> str:
    """The batch key of an objective's target text."""
    return f"{name} text"


def target_text(name: str, utterance: Mapping) -> str:
    """What an objective is to produce for an utterance; empty if it has no such translation."""
    task, _, languages = name.partition("/")
    if task == "asr":
        return utterance["transcription"]
    _, target = split_pair(languages)
    return utterance["translations"].get(target, "")
