"""Negatives for contrastive objectives."""

import torch
from torch import Tensor


def sample_negatives(place: Tensor, count: Tensor, number: int) -> Tensor:
    """For each of K frames, others of the same utterance, each as likely as the next; (N, K).

    SpeechBrain 1.1.2's ``sample_negatives`` offsets the utterances of a batch by T - 1 instead of
    T, and so draws from the neighbours too.

    Arguments
    ---------
    place : Tensor
        Of the frame among the candidates of its utterance, from 0, (K,).
    count : Tensor
        How many candidates its utterance has, (K,). Where it is the only one, it is its own
        negative, which SpeechBrain's ``ContrastiveLoss`` leaves out.
    number : int
        N.

    Returns
    -------
    Tensor
        Places among the candidates of the same utterance, (N, K).

    Example
    -------
    >>> sample_negatives(torch.tensor([0, 1]), torch.tensor([2, 2]), number=1)
    tensor([[1, 0]])
    """
    step = 1 + torch.rand((number, len(place)), device=place.device) * (count - 1)
    return (place + step.long().clamp(max=(count - 1).clamp(min=1))) % count
