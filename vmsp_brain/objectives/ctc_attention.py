"""CTC and an attention decoder, trained together and decoded together."""

from collections.abc import Sequence
from typing import Any

import torch
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

    def __init__(
        self,
        *,
        ctc_weight: float = 0.3,
        ctc_weight_decode: float = 0.4,
        inner_ctc_layers: Sequence[str] = (),
        inner_ctc_weight: float = 0.3,
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
        self.inner_layers = list(inner_ctc_layers)
        self.inner_ctc_weight = inner_ctc_weight
        self.inner_norms = nn.ModuleDict(
            {layer: nn.LayerNorm(attention["d_model"]) for layer in inner_ctc_layers}
        )

    def _loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        if not self.ctc_weight:
            return super()._loss(frames, tokens, counts)
        ctc = self._ctc_loss(frames, tokens, counts)
        attention = super()._loss(frames, tokens, counts)
        return self.ctc_weight * ctc + (1 - self.ctc_weight) * attention

    def _ctc_loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        shares = frames.relative_lengths, counts / tokens.shape[1]

        def of(hidden: Tensor) -> Tensor:
            posteriors = self.ctc(hidden).float().log_softmax(-1)  # (B, T, V)
            return ctc_loss(posteriors, tokens, *shares, BLANK)

        if not self.inner_layers:
            return of(frames.data)
        inner = [of(norm(frames.inner[layer])) for layer, norm in self.inner_norms.items()]
        mean = torch.stack(inner).mean()
        return (1 - self.inner_ctc_weight) * of(frames.data) + self.inner_ctc_weight * mean

    def scorer(self) -> ScorerBuilder | None:
        """CTC's prefix score, label by label."""
        if not (self.ctc_weight and self.ctc_weight_decode):
            return None
        return ScorerBuilder(
            full_scorers=[CTCScorer(ctc_fc=self.ctc, blank_index=BLANK, eos_index=EOS)],
            weights={"ctc": self.ctc_weight_decode},
        )
