"""What one pass over a validation or test set finds: losses, hypotheses, a sample of the audio."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from vmsp_brain import processes
from vmsp_brain.data.tokenizers import Tokenizer
from vmsp_brain.encoders import Encoder
from vmsp_brain.names import text_key
from vmsp_brain.objectives import Objective
from vmsp_brain.objectives.losses import compute_losses, read_losses
from vmsp_brain.run.running_means import RunningMeans
from vmsp_brain.run.scores import Hypothesis


class Evaluation:
    """Collects what a model makes of the batches of an evaluation.

    Arguments
    ---------
    tokenizers : dict
        The tokenizer of every objective that produces text.

    Attributes
    ----------
    losses : RunningMeans
        By objective, over batches.
    hypotheses : dict
        A list of `Hypothesis` by objective that produces text.
    samples : dict
        By source, the first utterance's waveform, (samples,).
    """

    def __init__(self, tokenizers: Mapping[str, Tokenizer]) -> None:
        self.tokenizers = tokenizers
        self.losses = RunningMeans()
        self.hypotheses: dict[str, list[Hypothesis]] = {name: [] for name in tokenizers}
        self.samples: dict[str, Tensor] = {}

    def add(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        source: str,
        part: PaddedBatch,
        search: Mapping[str, Any],
    ) -> Tensor:
        """Evaluate a batch of one source; its mean loss, on the CPU.

        Arguments
        ---------
        encoder : Encoder
            The shared encoder.
        objectives : list of Objective
            All of that source.
        source : str
            Its name.
        part : PaddedBatch
            The batch.
        search : dict
            Keyword arguments of the objectives' ``search``.
        """
        frames, losses = compute_losses(encoder, objectives, part)
        for objective in objectives:
            if objective.name in self.tokenizers:
                self._add_tokens(objective.name, objective.search(frames, **search), part)
                self.samples.setdefault(source, _first_waveform(part))
        [values] = read_losses([losses])
        self.losses.add(values)
        return torch.tensor(list(values.values())).mean()

    def _add_tokens(self, name: str, tokens: Sequence[list[int]], part: PaddedBatch) -> None:
        columns = part.id, part[text_key(name)], self.tokenizers[name].decode(tokens)
        self.hypotheses[name].extend(
            Hypothesis(utterance_id, reference, text)
            for utterance_id, reference, text in zip(*columns, strict=True)
            if reference  # a clip without this translation
        )

    def joined(self) -> "Evaluation":
        """What all processes found, each on its share of the batches; the same in every one."""
        found = processes.gather((self.hypotheses, self.samples))
        whole = Evaluation(self.tokenizers)
        whole.losses = self.losses.joined()
        for name, hypotheses in whole.hypotheses.items():
            hypotheses += [h for of_process, _ in found for h in of_process[name]]
        for _, samples in reversed(found):
            whole.samples |= samples
        return whole


def _first_waveform(part: PaddedBatch) -> Tensor:
    wavs, relative_lengths = part.sig
    return wavs[0, : round(float(relative_lengths[0]) * wavs.shape[1])].cpu()
