"""An utterance's hidden states are its own, and the layers are all of the encoder."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.small_models import LATENT_SIZE, noise, small_encoder
from vmsp_brain.encoders import ConformerEncoder, Frames, conformer_encoder


@pytest.fixture
def encoder() -> ConformerEncoder:
    return small_encoder().eval()


def alone(encoder: ConformerEncoder, wavs: Tensor, lengths: Tensor) -> list[Tensor]:
    """Hidden states of each utterance encoded by itself, without padding."""
    states = []
    for wav, length in zip(wavs, lengths, strict=True):
        samples = round(length.item() * wavs.shape[1])
        frames = encoder(wav[None, :samples], torch.ones(1))
        assert frames.lengths.tolist() == [frames.data.shape[1]]
        states.append(frames.data[0])
    return states


@pytest.mark.parametrize(
    "seconds",
    [
        (2.0, 0.51),  # 52 / 201 * 201 is more than 52 in float32
        (2.0, 1.0),
        (0.3, 3.0),
        (1.0, 0.9999),
        (0.7, 0.705, 0.71, 0.715),
    ],
)
@torch.no_grad()
def test_hidden_states_do_not_depend_on_what_an_utterance_is_batched_with(encoder, seconds):
    wavs, lengths = noise(*seconds)
    together = encoder(wavs, lengths)
    for states, length, own in zip(
        together.data, together.lengths, alone(encoder, wavs, lengths), strict=True
    ):
        assert length == len(own)
        assert (states[:length] - own).abs().max() < 1e-5


@torch.no_grad()
def test_what_stands_in_the_padding_does_not_matter(encoder):
    """Latents after an utterance's end are never seen."""
    latents = encoder.extract(*noise(1.0, 0.5))
    dirty = latents.data.clone()
    dirty[1, latents.lengths[1] :] = 100.0
    clean = encoder.contextualize(latents).data[1, : latents.lengths[1]]
    other = encoder.contextualize(Frames(dirty, latents.lengths)).data[1, : latents.lengths[1]]
    assert (clean - other).abs().max() < 1e-5


@torch.no_grad()
def test_order_of_the_batch_does_not_matter(encoder):
    wavs, lengths = noise(1.0, 0.5, 0.8)
    order = torch.tensor([2, 0, 1])
    permuted = encoder(wavs[order], lengths[order])
    assert torch.allclose(encoder(wavs, lengths).data[order], permuted.data, atol=1e-5)


@pytest.mark.parametrize("start", [400, 15_990, 47_900, 319_900])
@torch.no_grad()
def test_lengths_are_exact_for_every_number_of_samples(encoder, start):
    """Ceil of a quarter of the 10 ms frames, in a batch padded to the longest."""
    counts = torch.arange(start, start + 650, 13)
    wavs = torch.zeros(len(counts), int(counts.max()))
    frames = encoder.extract(wavs, counts / wavs.shape[1])
    expected = [-(-(n // 160 + 1) // 4) for n in counts.tolist()]
    assert frames.lengths.tolist() == expected
    assert frames.data.shape == (len(counts), max(expected), LATENT_SIZE)


def test_latent_size_is_the_width_of_the_latents(encoder):
    assert encoder.latent_size == encoder.extract(*noise(0.5)).data.shape[-1] == LATENT_SIZE


def test_layers_cover_every_parameter_once_in_order():
    encoder = small_encoder(num_layers=3)
    layers = encoder.layers()
    assert list(layers) == ["front_end", "block_01", "block_02", "block_03", "norm"]
    found = [id(p) for layer in layers.values() for p in layer.parameters()]
    assert len(found) == len(set(found))
    assert set(found) == {id(p) for p in encoder.parameters()}


def test_layers_are_named_in_the_order_in_which_they_are_applied():
    encoder, applied = small_encoder(num_layers=3), []
    for name, layer in encoder.layers().items():
        # A ModuleList is never called itself; its last part is
        module = layer[-1] if isinstance(layer, nn.ModuleList) else layer
        module.register_forward_hook(lambda *_, name=name: applied.append(name))
    encoder(*noise(0.5))
    assert applied == list(encoder.layers())


@torch.no_grad()
def test_extract_then_contextualize_is_forward(encoder):
    wavs, lengths = noise(1.0, 0.5)
    whole = encoder(wavs, lengths)
    halves = encoder.contextualize(encoder.extract(wavs, lengths))
    assert torch.equal(whole.data, halves.data)
    assert torch.equal(whole.lengths, halves.lengths)


def test_gradients_reach_every_parameter():
    encoder = small_encoder()
    frames = encoder(*noise(1.0, 0.5))
    (frames.data * torch.randn_like(frames.data))[frames.mask].sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@torch.no_grad()
def test_a_deep_copy_zeroes_padding_by_its_own_batch(encoder):
    """The hook that zeroes padding belongs to the copy, not to the original."""
    encoder(*noise(0.6, 0.6, 0.6))  # what the original last saw has another shape
    twin = copy.deepcopy(encoder)
    wavs, lengths = noise(1.0, 0.5)
    expected = encoder(wavs, lengths)
    encoder(*noise(0.6, 0.6, 0.6))
    assert torch.equal(twin(wavs, lengths).data, expected.data)
    twin(*noise(0.7))
    assert torch.equal(encoder(wavs, lengths).data, expected.data)


@torch.no_grad()
def test_state_dict_of_an_encoder_makes_another_one_equal(encoder):
    other = small_encoder().eval()
    other.load_state_dict(encoder.state_dict())
    batch = noise(1.0, 0.5)
    assert torch.equal(other(*batch).data, encoder(*batch).data)


class Zero(nn.Module):
    def forward(self, data: Tensor) -> Tensor:
        return torch.zeros_like(data)


@torch.no_grad()
def test_augmentation_is_for_training_alone():
    encoder = small_encoder(augment=Zero())
    first, second = noise(0.5, seed=1), noise(0.5, seed=2)
    assert torch.equal(encoder(*first).data, encoder(*second).data)
    encoder.eval()
    assert not torch.equal(encoder(*first).data, encoder(*second).data)


@torch.no_grad()
def test_self_supervision_reads_and_predicts_what_was_not_augmented():
    encoder, batch = small_encoder(augment=Zero()), noise(0.5)
    latents = encoder.extract(*batch).data
    assert torch.equal(latents, encoder.eval().extract(*batch).data)


@torch.no_grad()
def test_loudness_does_not_matter(encoder):
    """Features are normalized per utterance: a gain shifts every log-Mel band alike."""
    wavs, lengths = noise(1.0)
    quiet, loud = encoder(wavs, lengths).data, encoder(3 * wavs, lengths).data
    assert (quiet - loud).abs().max() < 1e-2


def test_frames_mask_and_relative_lengths_say_the_same():
    frames = Frames(torch.zeros(3, 7, 2), torch.tensor([7, 1, 4]))
    assert frames.mask.sum(1).tolist() == [7, 1, 4]
    assert (frames.relative_lengths * 7).round().tolist() == [7, 1, 4]


def test_a_conformer_is_made_for_any_number_of_mel_bands():
    encoder = conformer_encoder(d_model=16, nhead=4, num_layers=1, front_end_channels=6, n_mels=42)
    assert encoder.latent_size == 11 * 3  # 42 bands become 21, then 11
    assert encoder(*noise(0.5)).data.shape[-1] == encoder.d_model == 16


def test_the_filter_banks_constants_move_with_the_encoder_and_are_in_no_checkpoint():
    """SpeechBrain copies them at every call, for which the CPU waits."""
    encoder = small_encoder()
    features = encoder.to("meta").features
    assert features.state_dict().keys() == type(features)().state_dict().keys()
    constants = features.compute_STFT.window, features.compute_fbanks.band
    assert all(constant.is_meta for constant in constants)
