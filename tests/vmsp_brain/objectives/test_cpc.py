"""Windows, and what is predicted from them."""

import pytest
import torch

from tests.helpers.small_models import LATENT_SIZE, batch_of, small_encoder
from vmsp_brain.encoders import Frames
from vmsp_brain.objectives import CPCObjective
from vmsp_brain.objectives.cpc import Contexts


def objective(**overrides) -> CPCObjective:
    arguments = {"window": 6, "steps": 3, "projection_size": 8, "num_negatives": 10, **overrides}
    return CPCObjective(LATENT_SIZE, 16, **arguments)


def test_windows_follow_each_other_and_a_frame_follows_each():
    lengths = torch.tensor([40, 5, 13, 6])
    for _ in range(20):
        utterances, starts = objective().windows(lengths, max_len=40)
        assert (starts + 6 < lengths[utterances]).all()
        for utterance, length in enumerate(lengths.tolist()):
            own = starts[utterances == utterance].tolist()
            assert own == list(range(own[0], length - 6, 6)) if own else length <= 6 + 5
            assert not own or own[0] < 6


def test_a_windows_state_does_not_depend_on_what_follows_the_window(monkeypatch):
    made, encoder = objective().eval(), small_encoder().eval()
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(2))
    latents = encoder.extract(*batch_of(1.0).sig)
    changed = latents.data.clone()
    changed[:, 2 + 6 :] = torch.randn_like(changed[:, 2 + 6 :])
    states = []
    for data in (latents.data, changed):
        monkeypatch.setattr(encoder, "extract", lambda *_, d=data: Frames(d, latents.lengths))
        states.append(made.encode(encoder, batch_of(1.0)).hidden)
    assert torch.equal(states[0][0], states[1][0])
    assert not torch.allclose(states[0][1:], states[1][1:])


def test_loss_is_infonce_written_out(monkeypatch):
    made = objective(temperature=0.2)
    latents = Frames(torch.randn(2, 12, LATENT_SIZE), torch.tensor([12, 9]))
    contexts = Contexts(torch.randn(2, 16), torch.tensor([0, 1]), torch.tensor([7, 8]), latents)
    drawn = {}

    def remembered(own, count, number):
        drawn["negatives"] = torch.stack([(own + n) % count for n in (1, 2)])
        return drawn["negatives"]

    monkeypatch.setattr("vmsp_brain.objectives.cpc.sample_negatives", remembered)
    found = made.loss(contexts, None)
    # The second utterance has 9 frames: of the three after its window, only frame 8 is there.
    predicted = [(0, 0, 7), (0, 1, 8), (0, 2, 9), (1, 0, 8)]  # window, step, frame
    losses = []
    for number, (window, step, frame) in enumerate(predicted):
        prediction = made.prediction(contexts.hidden[window]).view(3, 8)[step]
        frames = [frame, *drawn["negatives"][:, number].tolist()]
        candidates = made.target(latents.data[window, frames])
        similar = torch.cosine_similarity(candidates, prediction.unsqueeze(0), dim=1) / 0.2
        losses.append(-similar.log_softmax(0)[0])
    torch.testing.assert_close(found, torch.stack(losses).mean())


@pytest.mark.parametrize("seconds", [(0.2,), (0.1, 0.2)])
def test_utterances_too_short_for_a_window_give_a_loss_and_gradient_of_zero(seconds):
    made, encoder, batch = objective(), small_encoder(), batch_of(*seconds)
    loss = made.loss(made.encode(encoder, batch), batch)
    loss.backward()
    assert loss == 0
    assert not any(p.grad.any() for p in encoder.parameters() if p.grad is not None)
