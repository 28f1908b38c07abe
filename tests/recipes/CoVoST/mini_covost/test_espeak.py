"""The synthesizer says the same thing the same way, and complains in words."""

import sys
import time

import numpy as np
import pytest

from mini_covost.espeak import SAMPLE_RATE, VARIANTS, EspeakError, synthesize

SENTENCE = "Ma sœur achète une voiture rouge."


@pytest.mark.parametrize("variant", VARIANTS)
def test_speech_does_not_depend_on_what_was_said_before(variant):
    first = synthesize(SENTENCE, f"fr+{variant}", 170, 50)
    synthesize("Etwas anderes.", "de+m3", 150, 30)
    assert np.array_equal(first, synthesize(SENTENCE, f"fr+{variant}", 170, 50))
    assert 1 < len(first) / SAMPLE_RATE < 3


def test_speech_does_not_depend_on_the_time_of_day():
    """eSpeak NG seeds the breath of this voice with the second."""
    first = synthesize(SENTENCE, "fr+f5", 170, 50)
    time.sleep(1.1)
    assert np.array_equal(first, synthesize(SENTENCE, "fr+f5", 170, 50))


def test_voice_rate_and_pitch_change_the_speech():
    speech = synthesize(SENTENCE, "fr+f2", 170, 50)
    for voice, rate, pitch in [("fr+m2", 170, 50), ("fr+f2", 190, 50), ("fr+f2", 170, 60)]:
        assert not np.array_equal(speech, synthesize(SENTENCE, voice, rate, pitch))
    assert len(synthesize(SENTENCE, "fr+f2", 200, 50)) < len(speech)


@pytest.mark.parametrize("voice", ["fr+f99", "no-such-language"])
def test_an_unknown_voice_is_refused_by_name(voice):
    with pytest.raises(EspeakError, match=voice.rpartition("+")[2]):
        synthesize(SENTENCE, voice, 170, 50)


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EspeakError, match="pip install espeakng-loader"):
        synthesize(SENTENCE, "fr", 170, 50)


def test_a_data_path_that_is_too_long_is_named(monkeypatch):
    import espeakng_loader

    path = "/" + "x" * 200
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: path)
    with pytest.raises(EspeakError, match=path):
        synthesize(SENTENCE, "fr", 170, 50)
