"""Beam search in which a token is decoded once, not again in every step after it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from speechbrain.dataio.dataio import length_to_mask
from speechbrain.decoders.seq2seq import S2STransformerBeamSearcher
from speechbrain.lobes.models.transformer.Transformer import TransformerDecoderLayer
from torch import Tensor, nn


@dataclass
class Prefixes:
    """What a decoder remembers of N = B x beam prefixes of U tokens.

    Arguments
    ---------
    past : list of Tensor
        Keys and values of the tokens, by layer, (2, N, H, U, E) for H heads of width E.
    heard : list of Tensor
        Keys and values of the hidden states, by layer, (2, B, H, T, E).
    mask : Tensor
        Which hidden states are no padding, (B, 1, 1, T).
    """

    past: list[Tensor]
    heard: list[Tensor]
    mask: Tensor


class IncrementalSearcher(S2STransformerBeamSearcher):
    """SpeechBrain's search, with a Transformer decoder that remembers.

    SpeechBrain's decodes the whole prefix in every step, and projects the hidden states for every
    hypothesis anew. A causal decoder's states of earlier tokens stay as they are: their keys and
    values are kept, and those of the hidden states are made once for an utterance.

    Arguments
    ---------
    modules : list
        An `vmsp_brain.objectives.attention.AttentionObjective` and its output layer.
    **search
        See SpeechBrain's ``S2SBeamSearcher``.
    """

    def forward_step(
        self, inp_tokens: Tensor, memory: Prefixes | None, enc_states: Tensor, enc_lens: Tensor
    ) -> tuple[Tensor, Prefixes, None]:
        """Log-probabilities (N, V) of the tokens after the prefixes that end with these (N,)."""
        layers = list(self.model.decoder.layers)
        if memory is None:
            memory = self._no_tokens(layers, enc_states, enc_lens)
        place = memory.past[0].shape[3]
        states = self.model.embedding(inp_tokens.unsqueeze(1))
        states = states + self.model.position.pe[:, place : place + 1].to(states)  # (N, 1, D)
        for number, layer in enumerate(layers):
            states = self._layer_step(layer, number, states, memory)
        states = self.model.decoder.norm(states)
        return self.softmax(self.fc(states) / self.temperature)[:, -1], memory, None

    def permute_mem(self, memory: Prefixes, index: Tensor) -> Prefixes:
        """The prefixes that are kept; each is of the same utterance as the one in whose place."""
        past = [kept.index_select(1, index) for kept in memory.past]
        return Prefixes(past, memory.heard, memory.mask)

    def _no_tokens(
        self, layers: list[TransformerDecoderLayer], states: Tensor, lengths: Tensor
    ) -> Prefixes:
        own = states[:: self.beam_size]  # (B, T, D)
        mask = length_to_mask(lengths[:: self.beam_size], max_len=own.shape[1]).bool()
        heard = [_projected(layer.multihead_attn.att, own, 1, 3) for layer in layers]
        nothing = [made[:, :1, :, :0].expand(-1, len(states), -1, -1, -1) for made in heard]
        return Prefixes(nothing, heard, mask[:, None, None])

    def _layer_step(
        self, layer: TransformerDecoderLayer, number: int, states: Tensor, memory: Prefixes
    ) -> Tensor:
        """A layer, normalized before its parts, of the last tokens' states (N, 1, D)."""
        attention, listening = layer.self_attn.att, layer.multihead_attn.att
        query, *new = _projected(attention, layer.norm1(states), 0, 3)
        memory.past[number] = torch.cat([memory.past[number], torch.stack(new)], dim=3)
        states = states + _attended(attention, query, memory.past[number])
        # The hypotheses of an utterance listen together.
        together = layer.norm2(states).view(self.batch_size, self.beam_size, -1)
        [query] = _projected(listening, together, 0, 1)
        found = _attended(listening, query, memory.heard[number], memory.mask)
        states = states + found.view_as(states)
        return states + layer.pos_ffn(layer.norm3(states))


def _projected(attention: nn.MultiheadAttention, states: Tensor, first: int, end: int) -> Tensor:
    """Of queries, keys and values those from first to end, (end - first, N, H, U, E)."""
    rows = slice(first * attention.embed_dim, end * attention.embed_dim)
    made = F.linear(states, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
    heads = made.unflatten(-1, (end - first, attention.num_heads, attention.head_dim))
    return heads.permute(2, 0, 3, 1, 4)


def _attended(
    attention: nn.MultiheadAttention, query: Tensor, heard: Tensor, mask: Tensor | None = None
) -> Tensor:
    """What queries (N, H, U, E) find in keys and values, (N, U, D)."""
    found = F.scaled_dot_product_attention(query, heard[0], heard[1], attn_mask=mask)
    return attention.out_proj(found.transpose(1, 2).flatten(2))
