import pytest

from vmsp_brain.data.text import normalize_transcription, normalize_translation


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
        ("_`_", ""),
    ],
)
def test_transcriptions_keep_what_belongs_to_words(text: str, expected: str):
    assert normalize_transcription(text) == expected
    assert normalize_transcription(expected) == expected  # a second time changes nothing


@pytest.mark.parametrize("invisible", ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"])
def test_invisible_characters_do_not_cut_words(invisible: str):
    text = f"{invisible}Ga{invisible}ren{invisible} tor."
    assert normalize_transcription(text) == "garen tor"
    assert normalize_translation(text) == "Garen tor."
    assert normalize_translation(f"e{invisible}\u0301") == "é"
    assert normalize_transcription(f" {invisible} {invisible * 2}") == ""
    assert normalize_translation(f" {invisible} {invisible * 2}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: a suffix that is not joined
        "क\u094d\u200dष",  # Hindi: a half form
        "ന\u0d4d\u200d",  # Malayalam: a final consonant, as it was spelled before Unicode 5.1
    ],
)
def test_joiners_stay_where_a_script_spells_with_them(text: str):
    assert normalize_transcription(f"{text}, {text}!") == f"{text} {text}"
    assert normalize_translation(text) == text


def test_joiners_of_what_is_no_word_go_with_it():
    assert normalize_transcription("a \U0001f469\u200d\U0001f680 b") == "a b"


def test_translations_keep_case_and_punctuation():
    assert (
        normalize_translation("  He said:\u00a0“No  way!” cafe\u0301 ") == "He said: “No way!” café"
    )
