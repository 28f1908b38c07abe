"""Encoders loaded from transformers' models on disk."""

import itertools

import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from tests.helpers.saved_models import save_model, saved_model
from tests.helpers.small_models import noise, small_encoder_of
from vmsp_brain.encoders.wav2vec2 import Wav2Vec2Encoder
from vmsp_brain.encoders.whisper import WhisperEncoder

KINDS = ("wav2vec2", "hubert", "wavlm", "whisper")


def make(kind: str, source, **options):
    encoder = WhisperEncoder if kind == "whisper" else Wav2Vec2Encoder
    return encoder(str(source), "", **options)


@pytest.mark.parametrize("kind", KINDS[:3])
@torch.no_grad()
def test_hidden_states_are_those_of_transformers(kind):
    encoder, model = small_encoder_of(kind).eval(), AutoModel.from_pretrained(saved_model(kind))
    extractor = AutoFeatureExtractor.from_pretrained(saved_model(kind))
    [wav], _ = noise(1.1)
    inputs = extractor(wav.numpy(), sampling_rate=16_000, return_tensors="pt")
    expected = model.eval()(**inputs).last_hidden_state
    found = encoder(wav.unsqueeze(0), torch.ones(1)).data
    assert (found - expected).norm() <= 1e-5 * expected.norm()


@torch.no_grad()
def test_whispers_hidden_states_are_those_of_transformers_cut_to_the_utterance():
    encoder = small_encoder_of("whisper").eval()
    model = AutoModel.from_pretrained(saved_model("whisper")).eval()
    extractor = AutoFeatureExtractor.from_pretrained(saved_model("whisper"))
    [wav], _ = noise(1.11)
    inputs = extractor(wav.numpy(), sampling_rate=16_000, return_tensors="pt")
    expected = model.encoder(inputs.input_features).last_hidden_state
    assert expected.shape[1] == 100  # the small model's 2 s
    found = encoder(wav.unsqueeze(0), torch.ones(1))
    assert found.lengths.tolist() == [56]  # 111 frames of 10 ms, two by two
    assert (found.data - expected[:, :56]).norm() <= 1e-5 * expected.norm()


def test_whisper_refuses_what_it_could_not_hear_to_the_end():
    with pytest.raises(ValueError, match=r"utterance of 2\.1 s, but Whisper hears at most 2\.0 s"):
        small_encoder_of("whisper")(*noise(2.1, 1.0))


def test_an_utterance_shorter_than_a_frame_gives_a_frame():
    for kind in KINDS:
        frames = small_encoder_of(kind)(*noise(0.005))
        assert frames.lengths.tolist() == [1]
        assert frames.data.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_parts_stay_and_the_others_move(kind):
    for extractor, blocks in itertools.product((False, True), (0, 1)):
        encoder = small_encoder_of(kind, freeze_feature_extractor=extractor, frozen_blocks=blocks)
        before = {name: p.clone() for name, p in encoder.named_parameters()}
        optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad])
        (encoder(*noise(1.0, 0.6)).data * torch.randn(16)).sum().backward()
        optimizer.step()
        moved = {n for n, p in encoder.named_parameters() if not torch.equal(before[n], p)}
        names = {id(p): n for n, p in encoder.named_parameters()}
        for number, layer in enumerate(encoder.layers().values()):
            of_layer = {names[id(p)] for p in layer.parameters()}
            convolutions = {n for n in of_layer if "feature_extractor" in n or ".conv" in n}
            if number <= blocks and blocks > 0:
                assert not of_layer & moved
            elif extractor and number == 0:
                assert not {n for n in convolutions if "pos_conv" not in n} & moved
            else:
                assert of_layer & moved
                assert not convolutions or convolutions & moved


@pytest.mark.parametrize("kind", KINDS)
def test_no_graph_is_kept_of_frozen_convolutions(kind):
    latents = small_encoder_of(kind, frozen_blocks=1).extract(*noise(0.5))
    assert not latents.data.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_changes_no_gradient(kind):
    """By torch.autograd.grad, several losses of one forward, as the Brain does it."""
    found = []
    for option in (False, True):
        encoder = small_encoder_of(kind, gradient_checkpointing=option).train()
        data = encoder(*noise(1.0, 0.6)).data
        parameters = [p for p in encoder.parameters() if p.requires_grad]
        for loss, retain in ((data.square().sum(), True), (data[:, 3:].sin().sum(), False)):
            gradients = torch.autograd.grad(
                loss, parameters, retain_graph=retain, allow_unused=True
            )
            found.append([g for g in gradients if g is not None])
    for plain, checkpointed in zip(found[:2], found[2:], strict=True):
        assert len(plain) == len(checkpointed) > 10
        for expected, gradient in zip(plain, checkpointed, strict=True):
            torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_recomputes(kind):
    calls = []
    encoder = small_encoder_of(kind, gradient_checkpointing=True).train()
    attention = next(m for n, m in encoder.named_modules() if n.endswith(("attention", "attn")))
    attention.register_forward_hook(lambda *_: calls.append(1))
    loss = encoder(*noise(0.5)).data.sum()
    before = len(calls)
    torch.autograd.grad(loss, [p for p in encoder.parameters() if p.requires_grad][-1:])
    torch.autograd.grad(encoder(*noise(0.5)).data.sum(), attention.parameters(), allow_unused=True)
    assert len(calls) == 3 * before


@pytest.mark.parametrize("kind", KINDS)
def test_spec_augment_is_the_models_own_and_for_training_alone(kind, tmp_path):
    save_model(kind, tmp_path, mask_time_prob=0.5, mask_time_length=2, apply_spec_augment=True)
    batch = noise(1.0, 0.6)
    augmented, plain = (make(kind, tmp_path, spec_augment=option) for option in (True, False))
    states = [encoder(*batch).data for encoder in (augmented, augmented, plain, plain)]
    assert not torch.allclose(states[0], states[1])
    assert torch.equal(states[2], states[3])
    latents = [encoder.extract(*batch).data for encoder in (augmented, plain)]
    assert torch.equal(*latents)  # what self-supervision reads and predicts
    assert torch.equal(augmented.eval()(*batch).data, plain.eval()(*batch).data)


def test_layers_are_never_dropped(tmp_path):
    save_model("wav2vec2", tmp_path, layerdrop=0.9)
    encoder = make("wav2vec2", tmp_path).train()
    batch = noise(0.5)
    assert torch.equal(encoder(*batch).data, encoder(*batch).data)


def test_half_precision_weights_are_trained_in_float32(tmp_path):
    for kind in KINDS:
        save_model(kind, tmp_path / kind).half().save_pretrained(tmp_path / kind)
        assert {p.dtype for p in make(kind, tmp_path / kind).parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_impossible_sources_are_refused_by_name(kind, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere/at/all: found neither a folder"):
        make(kind, "nowhere/at/all")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"has no preprocessor_config\.json"):
        make(kind, tmp_path)
    other = {"wav2vec2": "whisper", "whisper": "wav2vec2"}[kind]
    with pytest.raises(ValueError, match=rf"of the kind '{other}', expected one of"):
        make(kind, saved_model(other))
    save_model(kind, tmp_path / "slow", sampling_rate=8_000)
    with pytest.raises(ValueError, match=r"audio at 8000 Hz, expected 16000 Hz"):
        make(kind, tmp_path / "slow")
    with pytest.raises(ValueError, match=r"frozen_blocks: found 2, expected 0 to 1"):
        make(kind, saved_model(kind), frozen_blocks=2)


def test_missing_weights_are_named(tmp_path):
    save_model("wav2vec2", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"does not contain a .bin, .safetensors"):
        make("wav2vec2", tmp_path)
