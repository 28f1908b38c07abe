"""CTC and an attention decoder, trained together and decoded together."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.decoders.scorer import ScorerBuilder
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.losses import ctc_loss
from torch import Tensor, nn

from vmsp_brain.data.tokenizers import BLANK, EOS
from vmsp_brain.encoders import Frames
from vmsp_brain.objectives.attention import AttentionObjective
from vmsp_brain.objectives.ctc_scores import CTCScorer


class CTCAttentionObjective(AttentionObjective):
    """An attention decoder and a CTC output over the same vocabulary.

    The loss is ``ctc_weight`` x CTC + (1 - ``ctc_weight``) x attention (Watanabe et al., Hybrid
    CTC/Attention Architecture for End-to-End Speech Recognition, 2017); for translation as well
    (Yan et al., CTC Alignments Improve Autoregressive Translation, 2023).

    Arguments
    ---------
    ctc_weight : float
        Share of CTC in the loss, between 0 and 1. With 0 there is no CTC output, whatever the next.
    ctc_weight_decode : float
        Share of CTC's score in beam search, between 0 (none) and 1.
    inner_ctc_layers : list of str
        The encoder's layers, such as block_06, whose outputs CTC reads too, by the same output
        layer (Lee and Watanabe, Intermediate Loss Regularization for CTC-based Speech Recognition,
        2021). Each has a norm of its own before, for not all encoders' blocks end with one.
    inner_ctc_weight : float
        Share of the mean of their losses in CTC's loss, between 0 and 1.
    consistency_weight : float
        Weight of the disagreement of CTC's posteriors on two augmented views of an utterance, added
        to CTC's loss (CR-CTC: Yao et al., Consistency Regularization on CTC for Automatic Speech
        Recognition, 2024; 0.2 there). Training batches then hold every utterance twice.
    **attention
        See `AttentionObjective`.

    Example
    -------
    >>> import torch
    >>> from speechbrain.dataio.batch import PaddedBatch
    >>> objective = CTCAttentionObjective(name="asr/fr", source="fr", vocab_size=20, d_model=16)
    >>> frames = Frames(torch.rand(1, 30, 16), torch.tensor([30]))
    >>> batch = PaddedBatch([{"asr/fr": torch.tensor([5, 6]), "asr/fr text": "bon jour"}])
    >>> objective.loss(frames, batch).shape
    torch.Size([])
    """

    of_vocabulary = (*AttentionObjective.of_vocabulary, "ctc")

    def __init__(
        self,
        *,
        ctc_weight: float = 0.3,
        ctc_weight_decode: float = 0.4,
        inner_ctc_layers: Sequence[str] = (),
        inner_ctc_weight: float = 0.3,
        consistency_weight: float = 0.0,
        **attention: Any,
    ) -> None:
        super().__init__(**attention)
        for key, share in (
            ("ctc_weight", ctc_weight),
            ("ctc_weight_decode", ctc_weight_decode),
            ("inner_ctc_weight", inner_ctc_weight),
        ):
            if not 0 <= share <= 1:
                raise ValueError(f"{key}: found {share!r}, expected a share from 0 to 1.")
        if inner_ctc_layers and not ctc_weight:
            raise ValueError(
                f"inner_ctc_layers: found {', '.join(inner_ctc_layers)} with ctc_weight 0, "
                "expected a ctc_weight above 0: there is no CTC."
            )
        self.ctc_weight = ctc_weight
        self.ctc_weight_decode = ctc_weight_decode
        if ctc_weight:
            self.ctc = Linear(attention["vocab_size"], input_size=attention["d_model"])
            nn.init.xavier_normal_(self.ctc.w.weight)
        if consistency_weight < 0 or (consistency_weight and not ctc_weight):
            raise ValueError(
                f"consistency_weight: found {consistency_weight!r} with ctc_weight {ctc_weight!r}, "
                "expected 0, or more than 0 with CTC."
            )
        self.consistency_weight = consistency_weight
        self.inner_layers = list(inner_ctc_layers)
        self.inner_ctc_weight = inner_ctc_weight
        self.inner_norms = nn.ModuleDict(
            {layer: nn.LayerNorm(attention["d_model"]) for layer in inner_ctc_layers}
        )

    def loss(self, frames: Frames, batch: PaddedBatch) -> Tensor:
        """See `AttentionObjective.loss`.

        Raises
        ------
        ValueError
            If views are to be compared, and the batch does not hold every utterance twice.
        """
        ids = batch.id if self.consistency_weight and self.training else []
        if ids[: len(ids) // 2] != ids[len(ids) // 2 :]:
            raise ValueError(
                f"{self.name}: consistency_weight compares two views of every utterance, but the "
                "batch does not hold each twice. Make it by MultilingualBatch with twice."
            )
        return super().loss(frames, batch)

    def _loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        if not self.ctc_weight:
            return super()._loss(frames, tokens, counts)
        ctc = self._ctc_loss(frames, tokens, counts)
        attention = super()._loss(frames, tokens, counts)
        return self.ctc_weight * ctc + (1 - self.ctc_weight) * attention

    def _ctc_loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        shares = frames.relative_lengths, counts / tokens.shape[1]

        def posteriors(hidden: Tensor) -> Tensor:
            return self.ctc(hidden).float().log_softmax(-1)  # (B, T, V)

        last = posteriors(frames.data)
        loss = ctc_loss(last, tokens, *shares, BLANK)
        if self.inner_layers:
            inner = [
                ctc_loss(posteriors(norm(frames.inner[layer])), tokens, *shares, BLANK)
                for layer, norm in self.inner_norms.items()
            ]
            mean = torch.stack(inner).mean()
            loss = (1 - self.inner_ctc_weight) * loss + self.inner_ctc_weight * mean
        if self.consistency_weight and self.training:
            loss = loss + self.consistency_weight * disagreement(last, frames.mask, counts)
        return loss

    def scorer(self) -> ScorerBuilder | None:
        """CTC's prefix score, label by label."""
        if not (self.ctc_weight and self.ctc_weight_decode):
            return None
        return ScorerBuilder(
            full_scorers=[CTCScorer(ctc_fc=self.ctc, blank_index=BLANK, eos_index=EOS)],
            weights={"ctc": self.ctc_weight_decode},
        )


def disagreement(posteriors: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
    """How far two views' posteriors are apart, each the other's fixed target; a scalar.

    Summed over frames and divided by tokens, as CTC's loss is, mean over utterances.

    Arguments
    ---------
    posteriors : Tensor
        Log-probabilities (2B, T, V): B utterances, and again.
    mask : Tensor
        True where a frame is not padding, (2B, T).
    counts : Tensor
        Tokens of each, (2B,).
    """
    others = posteriors.detach().roll(len(posteriors) // 2, 0)
    apart = F.kl_div(posteriors, others, reduction="none", log_target=True).sum(-1)  # (2B, T)
    return ((apart * mask).sum(1) / counts).mean()
