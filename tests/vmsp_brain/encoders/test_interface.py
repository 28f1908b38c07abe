"""What the Brain and the objectives count on, of every encoder."""

import pytest
import torch
from torch.utils._pytree import tree_map_only

from tests.helpers.small_models import ENCODERS, noise, small_encoder_of
from vmsp_brain.encoders import Frames

every = pytest.mark.parametrize("kind", ENCODERS)


@every
@pytest.mark.parametrize("seconds", [(1.9, 0.51), (0.3, 1.0), (1.0, 0.9999), (0.7, 0.705, 0.71)])
@torch.no_grad()
def test_hidden_states_do_not_depend_on_what_an_utterance_is_batched_with(kind, seconds):
    encoder = small_encoder_of(kind).eval()
    wavs, lengths = noise(*seconds)
    together = encoder(wavs, lengths)
    assert together.data.shape[1] == together.lengths.max()
    for wav, relative, states, length in zip(
        wavs, lengths, together.data, together.lengths, strict=True
    ):
        samples = round(relative.item() * wavs.shape[1])
        own = encoder(wav[None, :samples], torch.ones(1))
        assert own.lengths.tolist() == [length] == [own.data.shape[1]]
        assert (states[:length] - own.data[0]).abs().max() < 2e-5


@every
@torch.no_grad()
def test_sizes_are_those_of_latents_and_hidden_states(kind):
    encoder = small_encoder_of(kind).eval()
    wavs, lengths = noise(1.9)
    assert encoder.extract(wavs, lengths).data.shape[2] == encoder.latent_size
    frames = encoder(wavs, lengths)
    assert frames.data.shape[2] == encoder.d_model
    assert abs(frames.data.shape[1] - wavs.shape[1] / encoder.samples_per_frame) <= 1


@every
@torch.no_grad()
def test_the_two_halves_are_the_whole(kind):
    encoder = small_encoder_of(kind).eval()
    batch = noise(1.0, 0.5)
    whole, halves = encoder(*batch), encoder.contextualize(encoder.extract(*batch))
    assert torch.equal(whole.lengths, halves.lengths)
    assert torch.equal(whole.data, halves.data[:, : whole.data.shape[1]])


@every
def test_layers_hold_every_trainable_parameter_once(kind):
    encoder = small_encoder_of(kind)
    found = [p for layer in encoder.layers().values() for p in layer.parameters()]
    assert len(found) == len({id(p) for p in found})
    assert {id(p) for p in encoder.parameters() if p.requires_grad} <= {id(p) for p in found}


@every
def test_layers_are_called_in_their_order_and_the_last_gives_the_output(kind):
    encoder, called, output = small_encoder_of(kind), [], {}
    names = list(encoder.layers())
    assert names[0] == "front_end"

    def remember(name):
        def hook(module, inputs, result):
            called.append(name)
            output[name] = result[0] if isinstance(result, tuple) else result

        return hook

    for name in names[1:]:
        encoder.layers()[name].register_forward_hook(remember(name))
    frames = encoder(*noise(0.5, 0.4))
    assert called == names[1:]
    assert torch.equal(output[names[-1]][:, : frames.data.shape[1]], frames.data)


@every
def test_a_layers_inputs_are_all_that_comes_from_below(kind):
    """Cut off the inputs of a layer, and no gradient goes below it."""
    names = list(small_encoder_of(kind).layers())
    for cut in names[1:]:
        encoder = small_encoder_of(kind)
        layers = encoder.layers()
        layers[cut].register_forward_pre_hook(
            lambda module, args, kwargs: tree_map_only(
                torch.Tensor, lambda tensor: tensor.detach(), (args, kwargs)
            ),
            with_kwargs=True,
        )
        encoder(*noise(0.5)).data.square().sum().backward()
        for number, name in enumerate(names):
            reached = [p for p in layers[name].parameters() if p.grad is not None and p.grad.any()]
            assert bool(reached) == (number >= names.index(cut)), (cut, name)


@every
def test_windows_of_latents_can_be_contextualized_alone(kind):
    """A batch of other size and length than the one they are of, without padding."""
    encoder = small_encoder_of(kind)
    latents = encoder.extract(*noise(1.0)).data
    windows = Frames(latents[:, :20].reshape(4, 5, -1), torch.full((4,), 5))
    assert encoder.contextualize(windows).data.shape == (4, 5, encoder.d_model)
