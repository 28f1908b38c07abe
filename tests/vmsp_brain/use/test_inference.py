"""Any file in, the text of the objective's own search out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.helpers.small_models import noise
from tests.helpers.small_translator import SEARCH, small_translator
from vmsp_brain.use.inference import SpeechTranslator


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SpeechTranslator:
    return small_translator(tmp_path_factory.mktemp("tokenizer"))


def write_tone(path: Path, rate: int, channels: int, seconds: float = 1.0) -> Path:
    """A tone of 440 Hz; the channels differ, and their mean is the tone of a single one."""
    time = np.arange(round(rate * seconds)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 440 * time)[:, None]
    weights = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)
    soundfile.write(path, wave * weights, rate)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (8_000, 1), (22_050, 6)])
def test_any_sample_rate_and_channel_count_is_the_same_sound(model, tmp_path, rate, channels):
    expected = model.load_audio(write_tone(tmp_path / "expected.wav", 16_000, 1))
    found = model.load_audio(write_tone(tmp_path / "other.wav", rate, channels))
    assert found.shape == expected.shape == (16_000,)
    middle = slice(500, -500)  # a resampler has only half of its window at the ends
    torch.testing.assert_close(found[middle], expected[middle], atol=2e-3, rtol=0)
    assert isinstance(model.transcribe_file(tmp_path / "other.wav", "fr"), str)


def test_texts_are_those_of_the_objectives_own_search(model):
    wavs, lengths = noise(1.0, 0.7)
    frames = model.mods.encoder(wavs, lengths)
    for name, found in (
        ("asr/fr", model.transcribe_batch(wavs, lengths, "fr")),
        ("st/fr-en", model.translate_batch(wavs, lengths, "fr-en")),
    ):
        tokens = model.mods.objectives[name].search(frames, **SEARCH)
        assert found == model.hparams.tokenizers[name].decode(tokens)
        assert any(found), "an untrained model says something"


def test_a_file_is_a_batch_of_one(model, tmp_path):
    path = write_tone(tmp_path / "tone.wav", 16_000, 1)
    wav = model.load_audio(path).unsqueeze(0)
    [expected] = model.transcribe_batch(wav, torch.ones(1), "en")
    assert model.transcribe_file(path, "en") == expected
    [expected] = model.translate_batch(wav, torch.ones(1), "fr-en")
    assert model.translate_file(path, "fr-en") == expected


def test_several_objectives_share_one_encoder_forward(model):
    calls = []
    hook = model.mods.encoder.register_forward_hook(lambda *_: calls.append(1))
    found = model(*noise(0.5), ["asr/fr", "st/fr-en"])
    hook.remove()
    assert set(found) == {"asr/fr", "st/fr-en"}
    assert len(calls) == 1


def test_what_the_model_knows(model):
    assert model.languages == ["en", "fr"]
    assert model.pairs == ["fr-en"]
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.mods.encoder.training


def test_what_cannot_be_done_is_said(model, tmp_path):
    path = write_tone(tmp_path / "tone.wav", 16_000, 1)
    with pytest.raises(ValueError, match="language: found 'it', expected one of en, fr"):
        model.transcribe_file(path, "it")
    with pytest.raises(ValueError, match="language: found None, expected one of en, fr"):
        model.transcribe_file(path, None)
    with pytest.raises(ValueError, match="pair: found 'fr-de', expected one of fr-en"):
        model.translate_batch(*noise(0.5), "fr-de")
    with pytest.raises(FileNotFoundError, match=r"none.wav: there is no such file"):
        model.transcribe_file(tmp_path / "none.wav", "fr")
    (tmp_path / "damaged.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(ValueError, match=r"damaged.wav cannot be read as audio"):
        model.transcribe_file(tmp_path / "damaged.wav", "fr")
    write_tone(tmp_path / "short.wav", 16_000, 1, seconds=0.01)
    with pytest.raises(ValueError, match=r"short.wav holds 0.010 s of audio"):
        model.transcribe_file(tmp_path / "short.wav", "fr")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(ValueError, match=r"empty.wav holds 0.000 s of audio"):
        model.transcribe_file(tmp_path / "empty.wav", "fr")


def write_samples(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples.astype(np.float32), 16_000, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("name", "samples", "message"),
    [
        ("nan", np.where(np.arange(16_000) == 7, np.nan, 0.1), "samples that are not finite"),
        ("infinite", np.where(np.arange(16_000) == 7, np.inf, 0.1), "samples that are not finite"),
        ("zeros", np.zeros(16_000), "is silent"),
        ("last_bit", np.where(np.arange(16_000) % 2, 1, -1) / 2**15, "is silent"),
    ],
)
def test_senseless_audio_is_refused_by_name(model, tmp_path, name, samples, message):
    path = write_samples(tmp_path / f"{name}.wav", samples)
    with pytest.raises(ValueError, match=rf"{name}\.wav.*{message}"):
        model.transcribe_file(path, "fr")
    with pytest.raises(ValueError, match=rf"{name}\.wav.*{message}"):
        model.translate_file(path, "fr-en")


def test_quiet_speech_is_not_silence(model, tmp_path):
    path = write_samples(tmp_path / "quiet.wav", 0.001 * np.sin(np.arange(16_000) / 10))
    assert len(model.load_audio(path)) == 16_000


def test_no_piece_is_longer_than_the_encoder_takes(model, monkeypatch):
    assert model.max_seconds == 2.0
    monkeypatch.setattr(type(model.mods.encoder), "max_seconds", 1.5)
    assert model.max_seconds == 1.5


def test_transcription_and_translation_of_a_file_share_one_encoder_forward(model, tmp_path):
    path = write_tone(tmp_path / "tone.wav", 16_000, 1)
    calls = []
    hook = model.mods.encoder.register_forward_hook(lambda *_: calls.append(1))
    found = model.decode_file(path, model.objectives_for("fr", "en"))
    hook.remove()
    assert len(calls) == 1
    assert found == {
        "asr/fr": model.transcribe_file(path, "fr"),
        "st/fr-en": model.translate_file(path, "fr-en"),
    }
