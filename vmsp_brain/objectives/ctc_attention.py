"""CTC and an attention decoder, trained together and decoded together."""

from typing import Any

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
        self, *, ctc_weight: float = 0.3, ctc_weight_decode: float = 0.4, **attention: Any
    ) -> None:
        super().__init__(**attention)
        if not 0 <= ctc_weight <= 1:
            raise ValueError(f"ctc_weight: found {ctc_weight!r}, expected a share from 0 to 1.")
        if not 0 <= ctc_weight_decode <= 1:
            raise ValueError(
                f"ctc_weight_decode: found {ctc_weight_decode!r}, expected a share from 0 to 1."
            )
        self.ctc_weight = ctc_weight
        self.ctc_weight_decode = ctc_weight_decode
        if ctc_weight:
            self.ctc = Linear(attention["vocab_size"], input_size=attention["d_model"])
            nn.init.xavier_normal_(self.ctc.w.weight)

    def _loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        if not self.ctc_weight:
            return super()._loss(frames, tokens, counts)
        ctc = ctc_loss(
            self.ctc(frames.data).float().log_softmax(-1),
            tokens,
            frames.relative_lengths,
            counts / tokens.shape[1],
            BLANK,
        )
        attention = super()._loss(frames, tokens, counts)
        return self.ctc_weight * ctc + (1 - self.ctc_weight) * attention

    def scorer(self) -> ScorerBuilder | None:
        """CTC's prefix score, label by label."""
        if not (self.ctc_weight and self.ctc_weight_decode):
            return None
        return ScorerBuilder(
            full_scorers=[CTCScorer(ctc_fc=self.ctc, blank_index=BLANK, eos_index=EOS)],
            weights={"ctc": self.ctc_weight_decode},
        )
