"""Speech translation: an attention decoder trained with label-smoothed cross-entropy."""

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch, PaddedData
from speechbrain.dataio.dataio import length_to_mask
from speechbrain.decoders.scorer import ScorerBuilder
from speechbrain.lobes.models.transformer.Transformer import (
    NormalizedEmbedding,
    PositionalEncoding,
    TransformerDecoder,
    get_lookahead_mask,
)
from speechbrain.nnet.linear import Linear
from torch import Tensor, nn

from vmsp_brain.data.tokenizers import BOS, EOS
from vmsp_brain.encoders import Frames
from vmsp_brain.names import text_key
from vmsp_brain.objectives.incremental import IncrementalSearcher
from vmsp_brain.objectives.interface import Objective

IGNORED = -100
"""Target index that cross-entropy leaves out."""


class AttentionObjective(Objective):
    """A Transformer decoder over the shared encoder's hidden states (``st/<source>-<target>``).

    Objectives with the same ``source`` read the same batch and share one `encode`.

    Arguments
    ---------
    name : str
        The objective's name, also the batch key of its target tokens; their text is under
        `text_key`.
    source : str
        Which part of a batch it reads: a language.
    vocab_size : int
        Size of the target vocabulary, special tokens included.
    d_model : int
        Width of the decoder, equal to the encoder's.
    num_layers, nhead, d_ffn, dropout
        The decoder's, see SpeechBrain's ``TransformerDecoder``.
    label_smoothing : float
        0 for none.

    Attributes
    ----------
    of_vocabulary : tuple of str
        Its parts that mean something with one vocabulary alone.

    Example
    -------
    >>> objective = AttentionObjective("st/fr-en", "fr", vocab_size=20, d_model=16)
    >>> frames = Frames(torch.rand(2, 30, 16), torch.tensor([30, 20]))
    >>> first = {"st/fr-en": torch.tensor([5, 6]), "st/fr-en text": "Good day"}
    >>> second = {"st/fr-en": torch.tensor([7]), "st/fr-en text": "Hello"}
    >>> objective.loss(frames, PaddedBatch([first, second])).shape
    torch.Size([])
    """

    of_vocabulary: tuple[str, ...] = ("embedding", "output")

    def __init__(
        self,
        name: str,
        source: str,
        vocab_size: int,
        d_model: int,
        num_layers: int = 1,
        nhead: int = 4,
        d_ffn: int = 512,
        dropout: float = 0.0,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        self.name = name
        self.source = source
        self.label_smoothing = label_smoothing
        self.embedding = NormalizedEmbedding(d_model, vocab_size)
        self.position = PositionalEncoding(d_model)
        self.decoder = TransformerDecoder(
            num_layers, nhead, d_ffn, d_model, dropout=dropout, normalize_before=True, causal=True
        )
        self.output = Linear(vocab_size, input_size=d_model)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)

    def loss(self, frames: Frames, batch: PaddedBatch) -> Tensor:
        """Label-smoothed cross-entropy, mean over target tokens, a scalar.

        Utterances without a target text (clips without this translation) do not count. If a draw
        has no other, the loss is zero and so is its gradient: there is nothing to learn from.
        """
        tokens, counts = _with_counts(batch[self.name])
        # Decided by the texts: they are on the CPU, so that nothing waits for the device.
        kept = [number for number, text in enumerate(batch[text_key(self.name)]) if text]
        if not kept:
            return frames.data.sum() * 0.0
        if len(kept) < len(tokens):
            index = torch.tensor(kept).to(tokens.device, non_blocking=True)
            frames = frames.select(index)
            tokens, counts = tokens[index], counts[index]
        return self._loss(frames, tokens, counts)

    def _loss(self, frames: Frames, tokens: Tensor, counts: Tensor) -> Tensor:
        predicted, _ = self._decode(F.pad(tokens, (1, 0), value=BOS), frames, counts + 1)
        return F.cross_entropy(
            self.output(predicted).transpose(1, 2).float(),
            _targets(tokens, counts),
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
        )

    def decode(
        self, tokens: Tensor, encoded: Tensor, encoded_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What SpeechBrain's own Transformer searchers ask for: decoder states and attention.

        Arguments
        ---------
        tokens : Tensor
            Tokens so far, (B, U).
        encoded : Tensor
            (B, T, D).
        encoded_lengths : Tensor
            In frames, (B,).
        """
        return self._decode(tokens, Frames(encoded, encoded_lengths))

    def _decode(
        self, tokens: Tensor, frames: Frames, counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        padding = None
        if counts is not None:
            padding = ~length_to_mask(counts, max_len=tokens.shape[1]).bool()
        embedded = self.embedding(tokens)
        states, _, attentions = self.decoder(
            embedded + self.position(embedded),
            frames.data,
            tgt_mask=get_lookahead_mask(tokens).bool(),
            tgt_key_padding_mask=padding,
            memory_key_padding_mask=~frames.mask,
        )
        return states, attentions[-1]  # (B, U, D), (B, U, T)

    @torch.no_grad()
    def search(self, frames: Frames, beam_size: int, max_decode_ratio: float) -> list[list[int]]:
        """Best token sequence of every utterance by beam search.

        Arguments
        ---------
        frames : Frames
            Hidden states of the encoder.
        beam_size : int
            Number of hypotheses kept.
        max_decode_ratio : float
            Longest hypothesis, in tokens per encoder frame.

        Raises
        ------
        ValueError
            If one of them is not above 0.
        """
        if not (beam_size >= 1 and max_decode_ratio > 0):
            raise ValueError(
                f"search: found beam_size {beam_size} and max_decode_ratio {max_decode_ratio}, "
                "expected a beam_size of at least 1 and a max_decode_ratio above 0."
            )
        searcher = IncrementalSearcher(
            modules=[self, self.output],
            bos_index=BOS,
            eos_index=EOS,
            min_decode_ratio=0.0,
            max_decode_ratio=max_decode_ratio,
            beam_size=beam_size,
            using_eos_threshold=True,
            scorer=self.scorer(),
        )
        hypotheses, *_ = searcher(frames.data, frames.relative_lengths)
        return hypotheses

    def scorer(self) -> ScorerBuilder | None:
        """What scores hypotheses besides the decoder."""
        return None


def _with_counts(padded: PaddedData) -> tuple[Tensor, Tensor]:
    tokens, relative_lengths = padded
    return tokens, torch.round(relative_lengths * tokens.shape[1]).long()


def _targets(tokens: Tensor, counts: Tensor) -> Tensor:
    """Tokens followed by EOS, then IGNORED, (B, U + 1)."""
    targets = F.pad(tokens, (0, 1))
    targets = targets.scatter(1, counts.unsqueeze(1), EOS)
    return targets.masked_fill(~length_to_mask(counts + 1, targets.shape[1]).bool(), IGNORED)
