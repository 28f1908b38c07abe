"""Splitting a backward pass changes nothing but how often its lower part runs."""

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.tensors import DEVICE, ones, randn, tensor
from vmsp_brain.method.cuts import cut_after, cut_before, weighted_sum

WEIGHTS = (0.3, 2.0, -1.0)


class Block(nn.Module):
    """Takes its inputs by position and by keyword, as Transformer layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, hidden: Tensor, bias: Tensor, mask: Tensor | None = None):
        return torch.tanh(self.linear(hidden) + bias) * mask, bias


class Encoder(nn.Module):
    """Two blocks; what joins them is the hidden states and a bias that a lower layer makes."""

    def __init__(self) -> None:
        super().__init__()
        self.front_end, self.bias = nn.Linear(3, 4), nn.Linear(3, 4)
        self.first, self.second = Block(), Block()

    def forward(self, x: Tensor) -> Tensor:
        hidden, bias, mask = self.front_end(x), self.bias(x), ones(4)
        hidden, bias = self.first(hidden, bias=bias, mask=mask)
        hidden, _ = self.second(hidden, bias=bias, mask=mask)
        return hidden


def losses_of(output: Tensor) -> list[Tensor]:
    return [output[:, number].square().sum() for number in range(len(WEIGHTS))]


@pytest.mark.parametrize("where", ["before first", "before second", "after second"])
def test_the_gradient_below_is_that_of_the_weighted_sum(where):
    encoder = Encoder().to(DEVICE)
    x = randn(5, 3)
    total = sum(w * loss for w, loss in zip(WEIGHTS, losses_of(encoder(x)), strict=True))
    parameters = dict(encoder.named_parameters())
    expected = dict(
        zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True)
    )
    side, name = where.split()
    cut_at = {"before": cut_before, "after": cut_after}[side]
    with cut_at(getattr(encoder, name)) as cut:
        losses = losses_of(encoder(x))
    gradients = [
        torch.autograd.grad(loss, cut.leaves, retain_graph=True, allow_unused=True)
        for loss in losses
    ]
    above = {"before first": ("first", "second"), "before second": ("second",)}.get(where, ())
    below = {key: p for key, p in parameters.items() if not key.startswith(above or "-")}
    found = cut.backward(weighted_sum(gradients, WEIGHTS), list(below.values()))
    assert len(below) >= 4
    for key, gradient in zip(below, found, strict=True):
        torch.testing.assert_close(gradient, expected[key])


def test_cuts_in_a_row_hand_on_the_gradient_of_each_loss():
    encoder = Encoder().to(DEVICE)
    x = randn(5, 3)
    parameters = [encoder.second.linear.weight, encoder.first.linear.weight, encoder.bias.weight]
    with cut_before(encoder.first) as low, cut_before(encoder.second) as high:
        cut_losses = losses_of(encoder(x))
    for cut_loss, loss in zip(cut_losses, losses_of(encoder(x)), strict=True):
        expected = torch.autograd.grad(loss, parameters, retain_graph=True)
        second, *gradients = torch.autograd.grad(
            cut_loss, [parameters[0], *high.leaves], retain_graph=True
        )
        first, *gradients = high.backward(gradients, [parameters[1], *low.leaves], True)
        [bias] = low.backward(gradients, [parameters[2]], True)
        for found, value in zip((second, first, bias), expected, strict=True):
            torch.testing.assert_close(found, value)


def test_nothing_is_cut_outside_of_the_context():
    encoder = Encoder().to(DEVICE)
    with cut_before(encoder.second) as cut:
        pass
    encoder(randn(5, 3)).sum().backward()
    assert not cut.leaves
    assert encoder.front_end.weight.grad is not None


def test_a_loss_that_reaches_nothing_below_leaves_it_alone():
    encoder = Encoder().to(DEVICE)
    with cut_after(encoder.second) as cut:
        encoder(randn(5, 3))
    nothing = [None] * len(cut.leaves)
    assert cut.backward(weighted_sum([nothing], [1.0]), [encoder.front_end.weight]) == [None]


def test_half_precision_gradients_are_summed_in_single():
    small, large = tensor([1.0]).bfloat16(), tensor([256.0]).bfloat16()
    [total] = weighted_sum([[large], [small]], [1.0, 1.0])
    assert total == 257.0  # 256 in bfloat16
    encoder = Encoder().to(DEVICE)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16), cut_after(encoder.second) as cut:
        encoder(randn(5, 3))
    given = [torch.ones_like(leaf, dtype=torch.float32) for leaf in cut.leaves]
    assert cut.backward(given, [encoder.front_end.weight])[0].dtype == torch.float32
