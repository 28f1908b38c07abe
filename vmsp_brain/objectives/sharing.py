"""One decoder for several languages, which its first token tells."""

import math
from collections.abc import Sequence

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


def share_decoder(objectives: Sequence[AttentionObjective]) -> None:
    """Let objectives have one decoder between them, with a vector for each written language.

    Embedding, decoder, output, and CTC's if there is one, are the first's. Their gradient is the
    sum of the objectives' gradients, unweighted, as a head of one objective takes its own; λ and
    penalties weigh the encoder's alone. The languages' vectors begin as BOS's.

    Example
    -------
    >>> sizes = {"vocab_size": 20, "d_model": 16}
    >>> fr = AttentionObjective("st/fr-en", "fr", **sizes)
    >>> de = AttentionObjective("st/de-en", "de", **sizes)
    >>> share_decoder([fr, de])
    >>> de.decoder is fr.decoder, de.embedding.language is fr.embedding.language
    (True, True)
    """
    parts = dict(objectives[0].named_children())
    start = objectives[0].embedding.emb.Embedding.weight[BOS].detach()
    languages: dict[str, Parameter] = {}
    for objective in objectives:
        written = objective.name.removeprefix(f"st/{objective.source}-").removeprefix("asr/")
        language = languages.setdefault(written, Parameter(start.clone()))
        for name, part in parts.items():
            setattr(objective, name, part)
        objective.embedding = LanguageEmbedding(parts["embedding"], language)
