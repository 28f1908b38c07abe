import doctest

import pytest

from corpus import text
from corpus.text import normalize_transcription, normalize_translation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The “Beatles” didn’t sing, did they?", "the beatles didn't sing did they"),
        ("Aujourd’hui, c’est  l’été : 25 °C…", "aujourd'hui c'est l'été 25 c"),
        ("Rendez-vous - au café", "rendez-vous au café"),
        ("Größe: »Straße«, Übung!", "größe straße übung"),
        ("¿Qué tal, señor? ¡Muy bien!", "qué tal señor muy bien"),
        ("L’home és intel·ligent · i prou.", "l'home és intel·ligent i prou"),
        ("the dogs' bones, rock 'n' roll", "the dogs' bones rock n roll"),
        ("‘Hello,’ she said", "hello she said"),
        ("cafe\u0301", "café"),
        ("... — !?", ""),
    ],
)
def test_transcriptions_keep_what_belongs_to_words(text: str, expected: str):
    assert normalize_transcription(text) == expected
    assert normalize_transcription(expected) == expected  # a second time changes nothing


def test_translations_keep_case_and_punctuation():
    assert (
        normalize_translation("  He said:\u00a0“No  way!” cafe\u0301 ") == "He said: “No way!” café"
    )


def test_docstring_example():
    assert doctest.testmod(text).failed == 0
