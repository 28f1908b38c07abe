"""What every self-supervised objective does, on every encoder."""

from types import SimpleNamespace

import pytest
import torch
from speechbrain.dataio.batch import PaddedData

from tests.helpers.small_models import (
    ENCODERS,
    SSL,
    batch_of,
    melodies,
    small_encoder_of,
    small_ssl,
)

both = pytest.mark.parametrize(("kind", "ssl"), [(kind, ssl) for kind in ENCODERS for ssl in SSL])


@pytest.fixture(autouse=True)
def without_chance(monkeypatch):
    """The same masks, windows and negatives whatever an utterance is batched with."""

    def mask(self, lengths, max_len):
        frame = torch.arange(max_len)
        return (frame % 3 == 0) & (frame < lengths.unsqueeze(1))

    def negatives(own, count, number):
        return (own + 1 + torch.arange(number).unsqueeze(1) % (count - 1)) % count

    monkeypatch.setattr("vmsp_brain.objectives.masking.MaskedPrediction.mask", mask)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(1))
    for module in ("cpc", "wav2vec2"):
        monkeypatch.setattr(f"vmsp_brain.objectives.{module}.sample_negatives", negatives)


@both
def test_padding_changes_neither_loss_nor_gradient(kind, ssl):
    """A batch of one utterance, and the same with padding after it."""
    encoder = small_encoder_of(kind)
    made = small_ssl(ssl, encoder).eval()
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    [wav] = batch_of(0.9).sig.data
    found = []
    for padding in (0, 9_000):
        data = torch.nn.functional.pad(wav, (0, padding)).unsqueeze(0)
        batch = SimpleNamespace(sig=PaddedData(data, torch.tensor([len(wav) / data.shape[1]])))
        loss = made.loss(made.encode(encoder, batch), batch)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        found.append((loss, torch.cat([g.flatten() for g in gradients if g is not None])))
    (loss, gradients), (padded_loss, padded_gradients) = found
    torch.testing.assert_close(padded_loss, loss, rtol=1e-4, atol=1e-6)
    assert (padded_gradients - gradients).norm() <= 1e-3 * gradients.norm()


@both
def test_gradients_reach_encoder_and_head(kind, ssl):
    encoder = small_encoder_of(kind)
    made, batch = small_ssl(ssl, encoder), batch_of(1.0, 0.7)
    made.loss(made.encode(encoder, batch), batch).backward()
    for name, layer in encoder.layers().items():
        assert any(p.grad is not None and p.grad.any() for p in layer.parameters()), name
    for name, parameter in made.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.any(), name


@both
def test_loss_falls_on_a_small_set(kind, ssl):
    encoder, batch = small_encoder_of(kind), melodies()
    made = small_ssl(ssl, encoder)
    optimizer = torch.optim.Adam([*made.parameters(), *encoder.parameters()], lr=5e-3)
    losses = []
    for step in range(25):
        made.begin_step(step)
        loss = made.loss(made.encode(encoder, batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.9 * losses[0], losses
