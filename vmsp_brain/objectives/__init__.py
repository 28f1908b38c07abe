"""The objectives: each has a name, its own head, and computes its loss from the shared encoder.

They know nothing of hierarchies and gradients; `vmsp_brain.brain` brings the two together.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from torch import nn

from vmsp_brain.names import check_list, matching, split_pair, targets_by_language
from vmsp_brain.objectives.attention import AttentionObjective
from vmsp_brain.objectives.best_rq import BestRQObjective
from vmsp_brain.objectives.cpc import CPCObjective
from vmsp_brain.objectives.ctc_attention import CTCAttentionObjective
from vmsp_brain.objectives.interface import Objective, by_source
from vmsp_brain.objectives.language import LanguageObjective
from vmsp_brain.objectives.sharing import share_decoder
from vmsp_brain.objectives.wav2vec2 import Wav2Vec2Objective

__all__ = [
    "AttentionObjective",
    "BestRQObjective",
    "CPCObjective",
    "CTCAttentionObjective",
    "LanguageObjective",
    "Objective",
    "Wav2Vec2Objective",
    "by_source",
    "multilingual_objectives",
]

SHARED, SEPARATE = "shared", "separate"


def multilingual_objectives(
    languages: Sequence[str],
    pairs: Sequence[str],
    recognition: Callable[..., Objective],
    translation: Callable[..., Objective],
    ssl: Callable[[], Objective],
    only: Sequence[str] = ("*",),
    asr_decoder: str = SEPARATE,
    st_decoder: str = SEPARATE,
    identification: Callable[..., Objective] | None = None,
    lid: bool = False,
) -> nn.ModuleDict:
    """One recognition objective per language, one translation objective per pair, and SSL.

    With ``lid`` also one that identifies the language.

    Arguments
    ---------
    languages : list of str
        Such as en, fr.
    pairs : list of str
        Such as fr-en; the source must be among the languages.
    recognition, translation : callable
        Makes an objective from its name and source, such as `CTCAttentionObjective`.
    ssl : callable
        Makes the self-supervised objective, such as `Wav2Vec2Objective`.
    only : list of str
        Names or patterns, such as ``asr/*``, of the objectives to have; all, if not given.
    asr_decoder, st_decoder : str
        ``separate``: each recognition (translation) objective has a decoder of its own; ``shared``:
        there is one for all of them, see `vmsp_brain.objectives.sharing.share_decoder`.
    identification : callable, optional
        Makes the objective that identifies the language, such as `LanguageObjective`.
    lid : bool
        Whether to have it.

    Returns
    -------
    ModuleDict
        The objectives by name: ``asr/<language>``, ``st/<source>-<target>``, ``ssl``, ``lid``.

    Raises
    ------
    ValueError
        If a language or pair is doubled or malformed, or none of them is kept.

    Example
    -------
    >>> from functools import partial
    >>> sizes = {"vocab_size": 20, "d_model": 16}
    >>> objectives = multilingual_objectives(
    ...     ["en", "fr"],
    ...     ["fr-en"],
    ...     partial(CTCAttentionObjective, **sizes),
    ...     partial(AttentionObjective, **sizes),
    ...     partial(Wav2Vec2Objective, latent_size=12, d_model=16),
    ... )
    >>> list(objectives)
    ['asr/en', 'asr/fr', 'st/fr-en', 'ssl']
    """
    targets_by_language(languages, pairs)  # or an error
    check_list("only", only)
    self_supervised = ssl()  # first: random numbers are drawn in this order
    objectives = nn.ModuleDict()
    recognized = (recognition(name=f"asr/{each}", source=each) for each in languages)
    translated = (translation(name=f"st/{each}", source=split_pair(each)[0]) for each in pairs)
    for made, decoder in ((recognized, asr_decoder), (translated, st_decoder)):
        own: Iterable[Any] = share_decoder(cast(Any, made)) if decoder == SHARED else made
        objectives.update({objective.name: objective for objective in own})
    objectives[self_supervised.name] = self_supervised
    if lid and identification is not None:  # last: the others' weights are the same without it
        objectives["lid"] = identification(languages=languages)
    kept = matching(objectives, only)
    supervised = [name for name in objectives if name != self_supervised.name]
    if supervised and not set(kept) & set(supervised):
        raise ValueError(
            f"only: found {', '.join(only)}, expected, by name or pattern, one or more of "
            f"{', '.join(supervised)}."
        )
    return nn.ModuleDict({name: objectives[name] for name in kept})
