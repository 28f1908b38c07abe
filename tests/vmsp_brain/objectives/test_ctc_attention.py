"""The recognition loss is a mixture of CTC and attention; both take part in the search."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from tests.helpers.small_models import noise, overfit, small_encoder
from vmsp_brain.data.tokenizers import BLANK
from vmsp_brain.encoders import Frames
from vmsp_brain.names import text_key
from vmsp_brain.objectives import AttentionObjective, CTCAttentionObjective
from vmsp_brain.objectives.ctc_attention import disagreement
from vmsp_brain.objectives.losses import compute_losses

NAME = "asr/fr"
TARGETS = [[5, 6, 6, 8, 9], [10, 4], [12, 12, 13]]
LENGTHS = [40, 25, 33]


def objective(**overrides) -> CTCAttentionObjective:
    arguments = {"vocab_size": 20, "d_model": 16, "d_ffn": 32, **overrides}
    return CTCAttentionObjective(name=NAME, source="fr", **arguments)


def batch_of(targets: list[list[int]]) -> PaddedBatch:
    items = [
        {NAME: torch.tensor(tokens, dtype=torch.long), text_key(NAME): "text" if tokens else ""}
        for tokens in targets
    ]
    return PaddedBatch(items)


def random_frames(lengths: list[int] = LENGTHS) -> Frames:
    return Frames(torch.randn(len(lengths), max(lengths), 16), torch.tensor(lengths))


def ctc_by_hand(log_probabilities: Tensor, target: list[int]) -> Tensor:
    """-log P(target) by the forward recursion over target with blanks between, (T, V) in."""
    labels = [BLANK]
    for token in target:
        labels += [token, BLANK]
    impossible = torch.tensor(-1e30)
    alpha = [impossible] * len(labels)
    alpha[0], alpha[1] = log_probabilities[0, BLANK], log_probabilities[0, labels[1]]
    for frame in log_probabilities[1:]:
        previous, alpha = alpha, []
        for s, label in enumerate(labels):
            before = [previous[s]]
            if s >= 1:
                before.append(previous[s - 1])
            if s >= 2 and label not in (BLANK, labels[s - 2]):
                before.append(previous[s - 2])
            alpha.append(torch.stack(before).logsumexp(0) + frame[label])
    return -torch.stack(alpha[-2:]).logsumexp(0)


def test_ctc_loss_is_that_of_single_utterances_per_token():
    head, frames = objective(ctc_weight=1.0), random_frames()
    losses = []
    for i, (length, target) in enumerate(zip(LENGTHS, TARGETS, strict=True)):
        log_probabilities = head.ctc(frames.data[i, :length]).log_softmax(-1)
        losses.append(ctc_by_hand(log_probabilities, target) / len(target))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(head.loss(frames, batch_of(TARGETS)), expected)


def test_ctc_loss_agrees_with_torch_on_single_utterances():
    head, frames = objective(ctc_weight=1.0), random_frames()
    losses = []
    for i, (length, target) in enumerate(zip(LENGTHS, TARGETS, strict=True)):
        log_probabilities = head.ctc(frames.data[i, :length]).log_softmax(-1)
        losses.append(
            F.ctc_loss(
                log_probabilities.unsqueeze(1),
                torch.tensor([target]),
                torch.tensor([length]),
                torch.tensor([len(target)]),
            )
        )
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(head.loss(frames, batch_of(TARGETS)), expected)


def test_loss_is_the_weighted_sum_of_its_parts():
    frames, batch, parts = random_frames(), batch_of(TARGETS), {}
    head = objective()
    for weight in (0.0, 0.3, 1.0):
        head.ctc_weight = weight
        parts[weight] = head.loss(frames, batch)
    torch.testing.assert_close(parts[0.3], 0.3 * parts[1.0] + 0.7 * parts[0.0])


def test_loss_does_not_depend_on_padding_or_order():
    head, frames, order = objective(), random_frames(), [2, 0, 1]
    expected = head.loss(frames, batch_of(TARGETS))
    longer = torch.cat([frames.data, torch.randn(3, 30, 16)], 1)
    permuted = Frames(longer[order], frames.lengths[order])
    torch.testing.assert_close(head.loss(permuted, batch_of([TARGETS[i] for i in order])), expected)


def test_utterances_without_transcription_do_not_count():
    head, frames = objective(), random_frames()
    with_gap = head.loss(frames, batch_of([TARGETS[0], [], TARGETS[2]]))
    rest = Frames(frames.data[[0, 2]], frames.lengths[[0, 2]])
    torch.testing.assert_close(with_gap, head.loss(rest, batch_of([TARGETS[0], TARGETS[2]])))


def test_more_tokens_than_frames_give_a_finite_loss():
    head, frames = objective(), random_frames([3, 20])
    frames.data.requires_grad_()
    loss = head.loss(frames, batch_of([[5, 6, 7, 8, 9], [4]]))
    loss.backward()
    assert loss.isfinite()
    assert frames.data.grad.isfinite().all()


def test_loss_falls_on_a_fixed_batch():
    head, encoder = objective(), small_encoder()
    wavs, lengths = noise(1.0, 0.6, 0.8)
    optimizer = torch.optim.Adam([*head.parameters(), *encoder.parameters()], lr=5e-3)
    losses = []
    for _ in range(30):
        loss = head.loss(encoder(wavs, lengths), batch_of(TARGETS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.fixture(scope="module")
def overfitted() -> tuple[CTCAttentionObjective, Frames]:
    """A head that knows two utterances by heart."""
    torch.manual_seed(0)
    head, frames = objective(label_smoothing=0.0), random_frames(LENGTHS[:2])
    return overfit(head, frames, batch_of(TARGETS[:2]), steps=200), frames


@pytest.mark.parametrize("ctc_weight_decode", [0.0, 0.4])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_search_gives_back_what_was_learned(overfitted, beam_size, ctc_weight_decode):
    head, frames = overfitted
    head.ctc_weight_decode = ctc_weight_decode
    assert head.search(frames, beam_size, max_decode_ratio=1.0) == TARGETS[:2]


def test_ctc_takes_part_in_the_search_with_its_weight(overfitted):
    """A CTC output that knows other words wins if its weight is large."""
    head, frames = copy.deepcopy(overfitted)
    with torch.no_grad():
        row = head.ctc.w.weight[[TARGETS[1][0], 15]]
        head.ctc.w.weight[[15, TARGETS[1][0]]] = row  # CTC hears 15 where it heard 10
        bias = head.ctc.w.bias[[TARGETS[1][0], 15]]
        head.ctc.w.bias[[15, TARGETS[1][0]]] = bias
    found = {}
    for weight in (0.0, 0.99):
        head.ctc_weight_decode = weight
        found[weight] = head.search(frames, 4, max_decode_ratio=1.0)[1][0]
    assert found == {0.0: 10, 0.99: 15}


def test_without_weight_ctc_is_not_computed():
    assert objective(ctc_weight_decode=0.0).scorer() is None
    assert objective(ctc_weight_decode=0.4).scorer().weights["ctc"] == 0.4


def test_with_weight_0_it_is_the_attention_objective_to_the_bit():
    """Same draws, same parameters: a recipe without CTC on translation stays what it was."""
    made = []
    for kind in (AttentionObjective, partial(CTCAttentionObjective, ctc_weight=0.0)):
        torch.manual_seed(3)
        made.append((kind(name=NAME, source="fr", vocab_size=20, d_model=16), torch.rand(1)))
    (plain, following), (without, next_draw) = made
    assert torch.equal(following, next_draw)
    assert without.scorer() is None
    state = plain.state_dict()
    assert state.keys() == without.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in without.state_dict().items())
    frames = random_frames()
    assert torch.equal(
        plain.loss(frames, batch_of(TARGETS)), without.loss(frames, batch_of(TARGETS))
    )


def test_inner_ctc_is_the_weighted_mean_of_ctc_on_each_layer():
    torch.manual_seed(0)
    head = objective(
        ctc_weight=1.0, inner_ctc_layers=["block_01", "block_02"], inner_ctc_weight=0.4
    )
    plain = objective(ctc_weight=1.0)
    plain.load_state_dict({n: t for n, t in head.state_dict().items() if "inner" not in n})
    frames, batch = random_frames(), batch_of(TARGETS)
    frames.inner = {name: torch.randn_like(frames.data) for name in head.inner_layers}
    inner = [
        plain.loss(Frames(F.layer_norm(data, (16,)), frames.lengths), batch)
        for data in frames.inner.values()
    ]
    expected = 0.6 * plain.loss(frames, batch) + 0.4 * torch.stack(inner).mean()
    torch.testing.assert_close(head.loss(frames, batch), expected)
    with_gap = batch_of([TARGETS[0], [], TARGETS[2]])
    assert head.loss(frames, with_gap).isfinite(), "inner layers are selected with the frames"


def test_inner_ctc_draws_nothing():
    states = []
    for layers in ([], ["block_01"]):
        torch.manual_seed(3)
        states.append((objective(inner_ctc_layers=layers).state_dict(), torch.rand(1)))
    (plain, following), (inner, next_draw) = states
    assert torch.equal(following, next_draw)
    assert all(torch.equal(tensor, inner[name]) for name, tensor in plain.items())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["block_09"], "found block_09, expected some of the encoder's inner layers block_01"),
        (["front_end"], "found front_end, expected some"),
        (["norm"], "found norm, expected some"),
    ],
)
def test_a_layer_that_is_no_inner_layer_is_refused(layers, message):
    head = objective(inner_ctc_layers=layers)
    batch = PaddedBatch([{"sig": torch.randn(6000), NAME: torch.tensor([5]), f"{NAME} text": "a"}])
    with pytest.raises(ValueError, match=message):
        compute_losses(small_encoder(), [head], batch)


def test_inner_ctc_without_ctc_is_refused():
    with pytest.raises(ValueError, match="inner_ctc_layers: found block_01 with ctc_weight 0"):
        objective(ctc_weight=0.0, inner_ctc_layers=["block_01"])


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_ctc_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ValueError, match=rf"ctc_weight: found {weight}"):
        objective(ctc_weight=weight)


def test_a_negative_ctc_weight_in_the_search_is_refused():
    with pytest.raises(ValueError, match="ctc_weight_decode"):
        objective(ctc_weight_decode=-0.4)


def test_disagreement_is_the_sum_of_both_divergences_per_token():
    logits = torch.randn(4, 7, 5, requires_grad=True)
    lengths, counts = torch.tensor([7, 4, 7, 4]), torch.tensor([2, 3, 2, 3])
    mask = Frames(logits, lengths).mask
    disagreement(logits.log_softmax(-1), mask, counts).backward()
    twin = logits.detach().clone().requires_grad_()
    p = twin.softmax(-1)
    total = 0.0
    for own, other in ((0, 2), (1, 3), (2, 0), (3, 1)):
        for frame in range(lengths[own]):
            target = p[other, frame].detach()
            ratio = (target / p[own, frame]).log()
            total = total + (target * ratio).sum() / counts[own] / 4
    total.backward()
    torch.testing.assert_close(logits.grad, twin.grad)
    value = disagreement(logits.log_softmax(-1), mask, counts)
    torch.testing.assert_close(value, total)


def test_views_that_are_equal_do_not_disagree():
    same = torch.randn(2, 7, 5).log_softmax(-1).repeat(2, 1, 1)
    found = disagreement(same, torch.ones(4, 7).bool(), torch.ones(4))
    assert found.abs() < 1e-6
