"""Testing a trained model on a manifest: what it makes of every utterance, and of every speaker."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from torch.utils.data import DataLoader
from tqdm import tqdm

from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.manifests import labelled_dataset
from vmsp_brain.data.samplers import EvaluationSampler
from vmsp_brain.files import write_whole
from vmsp_brain.names import text_key
from vmsp_brain.run.scores import Hypothesis, bleu, word_error_rate
from vmsp_brain.use.inference import SpeechTranslator


def decode(
    model: SpeechTranslator,
    utterances: Mapping[str, Mapping[str, dict]],
    batch_size: int,
    num_workers: int = 0,
) -> dict[str, list[Hypothesis]]:
    """Let every objective of the model decode the utterances of its language.

    Arguments
    ---------
    model : SpeechTranslator
        The model.
    utterances : dict
        By language, then by ID, as from `vmsp_brain.data.manifests.read_manifest`.
    batch_size : int
        Utterances of a batch; the longest come first.
    num_workers : int
        Processes that read audio.

    Returns
    -------
    dict
        By objective; an utterance without a reference is not there.

    Raises
    ------
    ValueError
        If the model does not know a language.
    """
    tokenizers = model.hparams.tokenizers
    objectives = {name: model.mods.objectives[name] for name in tokenizers}
    sources, names_of = {}, {}
    for language, spoken in utterances.items():
        names_of[language] = [name for name, o in objectives.items() if o.source == language]
        if not names_of[language]:
            raise ValueError(
                f"language: found {language!r} in the manifest, expected one of "
                f"{', '.join(model.languages)}, which the model knows."
            )
        own = {name: tokenizers[name] for name in names_of[language]}
        sources[language] = labelled_dataset(spoken, own)
    durations = {
        language: [utterance["duration"] for utterance in spoken.values()]
        for language, spoken in utterances.items()
    }
    loader = DataLoader(
        MultilingualDataset(sources),
        batch_sampler=EvaluationSampler(durations, batch_size),
        collate_fn=MultilingualBatch,
        num_workers=num_workers,
    )
    found: dict[str, list[Hypothesis]] = {name: [] for own in names_of.values() for name in own}
    for batch in tqdm(loader, "decoding"):
        [(language, part)] = batch.draws[0].items()
        wavs, lengths = part.sig
        for name, texts in model.decode_batch(wavs, lengths, names_of[language]).items():
            made = zip(part.id, part[text_key(name)], texts, strict=True)
            found[name] += [Hypothesis(*columns) for columns in made if columns[1]]
    return found


def write_speakers(
    path: str | Path, hypotheses: Mapping[str, list[Hypothesis]], speakers: Mapping[str, str]
) -> None:
    """Write WER or BLEU of every speaker for each objective, the most difficult first (CSV).

    Arguments
    ---------
    path : Path
        The file.
    hypotheses : dict
        By objective.
    speakers : dict
        By utterance ID.
    """
    rows = []
    for name, made in hypotheses.items():
        of_speaker: dict[str, list[Hypothesis]] = {}
        for hypothesis in made:
            of_speaker.setdefault(speakers[hypothesis.id], []).append(hypothesis)
        recognizes = name.startswith("asr/")
        metric, score = ("WER", word_error_rate) if recognizes else ("BLEU", bleu)
        scored = [(speaker, len(own), score(own)) for speaker, own in of_speaker.items()]
        scored.sort(key=lambda row: row[2], reverse=recognizes)
        rows += [[name, speaker, number, metric, f"{x:.2f}"] for speaker, number, x in scored]
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["objective", "speaker", "utterances", "metric", "score"])
    table.writerows(rows)
    write_whole(path, text.getvalue())
