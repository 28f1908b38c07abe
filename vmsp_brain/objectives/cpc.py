"""Self-supervision by Contrastive Predictive Coding (van den Oord et al., 2018)."""

from dataclasses import dataclass

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.nnet.losses import ContrastiveLoss
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder, Frames
from vmsp_brain.objectives.interface import Objective
from vmsp_brain.objectives.negatives import sample_negatives


@dataclass
class Contexts:
    """What is predicted from, and where the prediction begins.

    Arguments
    ---------
    hidden : Tensor
        The encoder's hidden state at the end of each of P windows, (P, D).
    utterances : Tensor
        The utterance that each window is of, (P,).
    ends : Tensor
        The first frame after each window, (P,).
    latents : Frames
        The latents of the whole utterances, (B, T, C).
    """

    hidden: Tensor
    utterances: Tensor
    ends: Tensor
    latents: Frames


class CPCObjective(Objective):
    """Tell the latents of the next frames from others of the same utterance (InfoNCE).

    CPC predicts the future, which an encoder that looks both ways would already have seen. So each
    utterance is cut into windows, each encoded alone, and the hidden state at a window's end must
    find the latents of the frames that follow it, each step by a projection of its own. Where the
    windows begin is drawn anew for every batch.

    Arguments
    ---------
    latent_size : int
        Width C of the encoder's latents.
    d_model : int
        Width D of the encoder's hidden states.
    window : int
        Frames of a window. An utterance that is no longer than a window (and the random frames
        before its first one, fewer than a window) gives nothing to predict.
    steps : int
        How many of the frames that follow are predicted.
    projection_size : int
        Width of the space in which predictions and latents are compared.
    num_negatives : int
        Negatives per predicted frame.
    temperature : float
        Divides the cosine similarities.
    source : str
        Which part of a batch it reads.

    Example
    -------
    >>> objective = CPCObjective(latent_size=12, d_model=16, window=10, steps=3)
    >>> latents = Frames(torch.rand(2, 30, 12), torch.tensor([30, 20]))
    >>> contexts = Contexts(torch.rand(1, 16), torch.tensor([1]), torch.tensor([18]), latents)
    >>> objective.loss(contexts, None).shape  # frames 18 and 19 of the second utterance
    torch.Size([])
    """

    name = "ssl"

    def __init__(
        self,
        latent_size: int,
        d_model: int,
        window: int = 20,
        steps: int = 8,
        projection_size: int = 256,
        num_negatives: int = 50,
        temperature: float = 0.1,
        source: str = "ssl",
    ) -> None:
        super().__init__()
        self.source = source
        self.window = window
        self.steps = steps
        self.num_negatives = num_negatives
        self.target = nn.Linear(latent_size, projection_size)
        self.prediction = nn.Linear(d_model, steps * projection_size)
        self.contrast = ContrastiveLoss(temperature)

    def encode(self, encoder: Encoder, batch: PaddedBatch) -> Contexts:
        """Hidden states at the ends of the windows, each window encoded by itself."""
        latents = encoder.extract(*batch.sig)
        utterances, starts = self.windows(latents.lengths, latents.data.shape[1])
        ends = starts + self.window
        frames = starts.unsqueeze(1) + torch.arange(self.window, device=starts.device)  # (P, W)
        windows = latents.data[utterances.unsqueeze(1), frames]  # (P, W, C)
        if len(windows) == 0:
            return Contexts(latents.data.new_empty(0, encoder.d_model), utterances, ends, latents)
        hidden = encoder.contextualize(Frames(windows, torch.full_like(starts, self.window)))
        return Contexts(hidden.data[:, -1], utterances, ends, latents)

    def windows(self, lengths: Tensor, max_len: int) -> tuple[Tensor, Tensor]:
        """Utterance and first frame, each (P,), of all windows that a frame follows."""
        first = torch.randint(self.window, (), device=lengths.device)
        starts = torch.arange(0, max(max_len, 1), self.window, device=lengths.device)
        starts = first + starts
        followed = starts + self.window < lengths.unsqueeze(1)  # (B, windows)
        utterances, numbers = followed.nonzero(as_tuple=True)
        return utterances, starts[numbers]

    def loss(self, contexts: Contexts, batch: PaddedBatch) -> Tensor:
        """InfoNCE, mean over predicted frames, a scalar.

        If no utterance is long enough, the loss is zero and so is its gradient.
        """
        latents, lengths = contexts.latents, contexts.latents.lengths
        if len(contexts.hidden) == 0:
            return latents.data.sum() * 0.0
        steps = torch.arange(self.steps, device=lengths.device)
        frames = contexts.ends.unsqueeze(1) + steps  # (P, steps)
        valid = frames < lengths[contexts.utterances].unsqueeze(1)
        places = valid.nonzero(as_tuple=True)  # once: it waits for the device
        frames, utterances = frames[places], contexts.utterances[places[0]]  # (K,)
        predicted = self.prediction(contexts.hidden).unflatten(1, (self.steps, -1))[places]
        candidates = self.target(latents.data)  # (B, T, Q)
        negatives = sample_negatives(frames, lengths[utterances], self.num_negatives)  # (N, K)
        loss, _ = self.contrast(
            predicted.unsqueeze(0),
            candidates[utterances, frames].unsqueeze(0),
            candidates[utterances, negatives].unsqueeze(1),
        )
        return loss / len(frames)
