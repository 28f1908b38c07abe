"""The names of objectives: ``asr/fr`` recognizes French, ``st/fr-en`` translates it into English,
``lid`` tells which language is spoken, ``ssl`` is self-supervision.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

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


def check_list(key: str, values: Sequence[str]) -> None:
    """Refuse a text in place of a list, whose letters would be taken for its items, and repetition.

    Raises
    ------
    ValueError
        The message names the key.
    """
    if isinstance(values, str):
        raise ValueError(f"{key}: found the text {values!r}, expected a list such as [{values}].")
    if not all(values):
        raise ValueError(f"{key}: found an empty name in {list(values)}. Remove it.")
    twice = [value for value, number in Counter(values).items() if number > 1]
    if twice:
        raise ValueError(f"{key}: found {', '.join(twice)} more than once, expected each once.")


def targets_by_language(languages: Sequence[str], pairs: Sequence[str]) -> dict[str, list[str]]:
    """The languages that each language is to be translated into.

    Raises
    ------
    ValueError
        If a language or pair is doubled or malformed, or a pair's source is no language of these.
    """
    check_list("languages", languages)
    check_list("pairs", pairs)
    targets: dict[str, list[str]] = {language: [] for language in languages}
    for pair in pairs:
        source, target = split_pair(pair)
        if source not in targets:
            raise ValueError(
                f"pairs: {pair} translates from {source}, which is not among the languages "
                f"{', '.join(languages)}. Add it to languages or remove the pair."
            )
        targets[source].append(target)
    return targets


def source_of(name: str) -> str:
    """The language that ``asr/fr`` or ``st/fr-en`` hears."""
    task, _, languages = name.partition("/")
    return languages if task == "asr" else split_pair(languages)[0]


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Those of the names that one of the patterns matches.

    Example
    -------
    >>> matching(["asr/en", "asr/fr", "ssl"], ["asr/*"])
    ['asr/en', 'asr/fr']
    """
    return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


def text_key(name: str) -> str:
    """The batch key of an objective's target text."""
    return f"{name} text"


def target_text(name: str, utterance: Mapping) -> str:
    """What an objective is to produce for an utterance; empty if it has no such translation."""
    task, _, languages = name.partition("/")
    if task == "lid":
        return utterance["language"]
    if task == "asr":
        return utterance["transcription"]
    _, target = split_pair(languages)
    return utterance["translations"].get(target, "")
