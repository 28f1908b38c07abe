"""One decoder for several languages, which its first token tells."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from vmsp_brain.data.tokenizers import BOS
from vmsp_brain.objectives.attention import AttentionObjective


class LanguageEmbedding(nn.Module):
    """A decoder's embedding in which BOS is the written language's own vector.

    Arguments
    ---------
    embedding : NormalizedEmbedding
        SpeechBrain's, of the other tokens.
    language : Parameter
        (D,).
    """

    def __init__(self, embedding: nn.Module, language: Parameter) -> None:
        super().__init__()
        self.embedding = embedding
        self.language = language

    def forward(self, tokens: Tensor) -> Tensor:
        """Embedded tokens (B, U, D)."""
        own = self.language * math.sqrt(len(self.language))  # as NormalizedEmbedding scales
        embedded = self.embedding(tokens)
        return torch.where((tokens == BOS).unsqueeze(-1), own.to(embedded.dtype), embedded)


def share_decoder(objectives: Iterable[AttentionObjective]) -> list[AttentionObjective]:
    """Let objectives have one decoder between them, with a vector for each written language.

    Embedding, decoder, output, and CTC's if there is one, are the first's. Their gradient is the
    sum of the objectives' gradients, unweighted, as a head of one objective takes its own; λ and
    penalties weigh the encoder's alone. The languages' vectors begin as BOS's.

    Example
    -------
    >>> sizes = {"vocab_size": 20, "d_model": 16}
    >>> fr = AttentionObjective("st/fr-en", "fr", **sizes)
    >>> de = AttentionObjective("st/de-en", "de", **sizes)
    >>> fr, de = share_decoder([fr, de])
    >>> de.decoder is fr.decoder, de.embedding.language is fr.embedding.language
    (True, True)
    """
    parts: dict[str, Any] = {}
    languages: dict[str, Parameter] = {}
    sharing = []
    for objective in objectives:  # one after another: what is made in vain is free at once
        parts = parts or dict(objective.named_children())
        start = parts["embedding"].emb.Embedding.weight[BOS].detach()
        written = objective.name.removeprefix(f"st/{objective.source}-").removeprefix("asr/")
        language = languages.setdefault(written, Parameter(start.clone()))
        for name, part in parts.items():
            setattr(objective, name, part)
        objective.embedding = LanguageEmbedding(parts["embedding"], language)
        sharing.append(objective)
    return sharing
