"""What one pass over a validation or test set finds: losses, hypotheses, a sample of the audio."""

from collections.abc import Mapping, Sequence

import sentencepiece
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from vmsp_brain import processes
from vmsp_brain.names import text_key
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

    def __init__(self, tokenizers: Mapping[str, sentencepiece.SentencePieceProcessor]) -> None:
        self.tokenizers = tokenizers
        self.losses = RunningMeans()
        self.hypotheses: dict[str, list[Hypothesis]] = {name: [] for name in tokenizers}
        self.samples: dict[str, Tensor] = {}

    def add_tokens(self, name: str, tokens: Sequence[list[int]], part: PaddedBatch) -> None:
        """Add what an objective made of a batch, beside the references that the batch holds."""
        columns = part.id, part[text_key(name)], self.tokenizers[name].decode(tokens)
        self.hypotheses[name].extend(
            Hypothesis(utterance_id, reference, text)
            for utterance_id, reference, text in zip(*columns, strict=True)
            if reference  # a clip without this translation
        )

    def add_sample(self, source: str, part: PaddedBatch) -> None:
        """Keep the first waveform of a source's first batch."""
        if source not in self.samples:
            wavs, relative_lengths = part.sig
            self.samples[source] = wavs[
                0, : round(float(relative_lengths[0]) * wavs.shape[1])
            ].cpu()

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
