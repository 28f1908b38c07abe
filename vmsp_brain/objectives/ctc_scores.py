"""CTC's prefix scores for beam search, at the cost of the hypotheses that are kept."""

import torch
from speechbrain.decoders import scorer
from speechbrain.decoders.ctc import CTCPrefixScore
from torch import Tensor

State = tuple[Tensor, Tensor]
"""Of B x beam prefixes: forward variables without and with a blank at the end, (T, 2, N), and the
log-probability of each prefix, (N, V), the same for all V."""


class PrefixScores(CTCPrefixScore):
    """SpeechBrain's ``CTCPrefixScore`` of all tokens, equal to it in value.

    (Algorithm 2 of Watanabe et al., Hybrid CTC/Attention Architecture for End-to-End Speech
    Recognition, 2017.) SpeechBrain carries the forward variables of every prefix on to every token
    of the vocabulary, frame by frame, and then keeps those of a beam. The scores of the tokens need
    the prefix's own variables alone; so they are carried on once it is known which are kept: N
    in place of N x V numbers a frame.
    """

    @torch.no_grad()
    def forward_step(
        self,
        inp_tokens: Tensor,
        states: State | None,
        candidates: Tensor | None = None,
        attn: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The log-probability that each token (N, V) adds to its prefix.

        Arguments
        ---------
        inp_tokens : Tensor
            Last tokens of the prefixes, (N,).
        states : tuple, optional
            From `permute_mem`; none of empty prefixes.
        candidates, attn
            Not used: all tokens are scored, over all frames.
        """
        self.prefix_length += 1
        beam = len(inp_tokens) // self.batch_size
        if states is None:
            states = self._empty_prefixes(beam)
        forward, before = states
        either = torch.logsumexp(forward, 1)  # (T, N)
        # After the same token only a blank begins another one: phi of the paper.
        phi = either.unsqueeze(2).repeat(1, 1, self.vocab_size)  # (T, N, V)
        rows = torch.arange(len(inp_tokens), device=self.device)
        phi[:, rows, inp_tokens] = forward[:, 1]
        heard = self.x[0].repeat_interleave(beam, dim=1)  # (T, N, V)
        start = max(1, self.prefix_length)
        first = heard[:1] if self.prefix_length == 0 else torch.full_like(heard[:1], self.minus_inf)
        shifted = torch.cat((phi[:1], phi[:-1])) + heard
        prefix = torch.logsumexp(torch.cat((shifted[start:], first)), dim=0)  # (N, V)
        last = self.last_frame_index.repeat_interleave(beam).long()
        prefix[:, self.eos_index] = either[last, rows]
        prefix[:, self.blank_index] = self.minus_inf
        return prefix - before, (phi, prefix)

    def _empty_prefixes(self, beam: int) -> State:
        blanks = self.x[0, :, :, self.blank_index].cumsum(0).repeat_interleave(beam, dim=1)
        forward = torch.stack([torch.full_like(blanks, self.minus_inf), blanks], dim=1)
        return forward, torch.zeros(blanks.shape[1], self.vocab_size, device=self.device)

    def permute_mem(self, memory: tuple[Tensor, ...], index: Tensor) -> State:
        """The state of the prefixes that are kept, each a token longer.

        Arguments
        ---------
        memory : tuple
            From `forward_step`.
        index : Tensor
            Of the kept ones among beam x V of each utterance, (B, beam).
        """
        phi, prefix = memory
        beam = index.shape[1]
        utterance = self.batch_index.repeat_interleave(beam)  # (N,)
        tokens = (index % self.vocab_size).flatten()
        parents = index.div(self.vocab_size, rounding_mode="floor").flatten() + utterance * beam
        kept = prefix[parents, tokens].unsqueeze(1).repeat(1, self.vocab_size)
        return self._carried_on(phi[:, parents, tokens], utterance, tokens), kept

    def _carried_on(self, phi: Tensor, utterance: Tensor, tokens: Tensor) -> Tensor:
        """Forward variables (T, 2, N) of prefixes whose last tokens are these."""
        heard = self.x[:, :, utterance, tokens].transpose(0, 1).contiguous()  # (T, 2, N)
        forward = torch.full_like(heard, self.minus_inf)
        if self.prefix_length == 0:
            forward[0, 0] = heard[0, 0]
        for t in range(max(1, self.prefix_length), self.max_enc_len):
            token, blank = forward[t - 1]
            ways = torch.stack([token, phi[t - 1], token, blank]).view(2, 2, -1)
            forward[t] = torch.logsumexp(ways, 1) + heard[t]
        return forward


class CTCScorer(scorer.CTCScorer):  # SpeechBrain's searchers know it by this name
    """SpeechBrain's ``CTCScorer`` with `PrefixScores`."""

    def reset_mem(self, x: Tensor, enc_lens: Tensor) -> None:
        """Read CTC's posteriors of hidden states (B, T, D) with lengths in frames, (B,)."""
        posteriors = self.softmax(self.ctc_fc(x))
        self.ctc_score = PrefixScores(posteriors, enc_lens, self.blank_index, self.eos_index)
