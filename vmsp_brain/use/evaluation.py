"""Testing a trained model on a manifest: what it makes of every utterance, and of every speaker."""

import csv
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from tqdm import tqdm

from vmsp_brain import threads
from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.manifests import labelled_dataset, manifest_path, merged, read_manifest
from vmsp_brain.data.samplers import EvaluationSampler
from vmsp_brain.data.vocabularies import text_objectives
from vmsp_brain.files import write_whole
from vmsp_brain.names import source_of, target_text, text_key
from vmsp_brain.run.comet import check_comet, comet_scores
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.scores import Hypothesis, accuracy, bleu, results, word_error_rate
from vmsp_brain.shards import file_of
from vmsp_brain.use.inference import SpeechTranslator
from vmsp_brain.use.loading import check_model, load_model


@dataclass
class ModelTest:
    """What is tested, on what, how, and where the results go.

    Arguments
    ---------
    model : str
        As for `vmsp_brain.use.loading.load_model`.
    output : Path, optional
        Folder for the results. A run's own test, which has no other option than ``comet_model``,
        ``batch_size``, ``num_workers`` and ``device``, is written into the run.
    split : str
        Of the run's corpus.
    manifest : list of Path, optional
        CSV files in place of a split.
    data_folder : str, optional
        In place of ``$data_root`` in the manifests; for runs, the one of training.
    average : int, optional
        Take the mean of the weights of so many last epochs.
    beam_size : int, optional
        In place of the model's.
    ctc_weight : float, optional
        Of recognition in decoding, in place of the model's.
    wer_normalizer : str, optional
        What the second word error rate is normalized by, in place of the model's, see
        `vmsp_brain.run.normalization.normalizer_of`.
    comet_model : str, optional
        Score translations by COMET too, with this checkpoint, see `vmsp_brain.run.comet`.
    batch_size, num_workers
        See `decode`.
    device : str
        Such as cpu or cuda.

    Example
    -------
    >>> test = ModelTest("results/mini", split="dev", beam_size=1, output=Path("results/mini_dev"))
    >>> report = test.run()
    >>> list(report["wer"]), list(report["bleu"])
    (['en', 'fr'], ['fr-en'])
    """

    model: str
    output: Path | None = None
    split: str = "test"
    manifest: Sequence[Path] | None = None
    data_folder: str | None = None
    average: int | None = None
    beam_size: int | None = None
    ctc_weight: float | None = None
    wer_normalizer: str | None = None
    comet_model: str | None = None
    batch_size: int = 32
    num_workers: int = 0
    device: str = "cpu"

    def run(self) -> dict:
        """Test the model and write the results; the scores.

        Raises
        ------
        FileNotFoundError, ValueError
            If something is missing or does not fit; the message says what. Nothing is written then.
        """
        check_model(self.model)
        check_comet(self.comet_model)
        written = self._output()
        model = load_model(self.model, self.average, self._overrides(), self.device)
        utterances = self.utterances(model.asr_text)
        if self.ctc_weight is not None:
            _check_ctc(model)
        print(threads.set_number(model.mods), file=sys.stderr)  # beside the progress bar
        hypotheses = decode(model, utterances, self.batch_size, self.num_workers)
        clips = merged(utterances)
        own = vars(model.hparams)
        normalizer = self.wer_normalizer or own.get("wer_normalizer")
        report = results(hypotheses, {**own, "wer_normalizer": normalizer})
        if self.comet_model:
            sources = {key: item["transcription"] for key, item in clips.items()}
            report |= comet_scores(hypotheses, sources, self.comet_model, self.device)
        written.write_results(report, hypotheses)
        speakers = {key: item["speaker"] for key, item in clips.items()}
        write_speakers(written.speakers, hypotheses, speakers)
        return report

    def _output(self) -> RunFolder:
        """The run itself for its own test, so that other results never take its place."""
        if self.output:
            _check_output(Path(self.output))
            return RunFolder(self.output)
        others = (
            self.manifest, self.average, self.beam_size, self.ctc_weight, self.wer_normalizer
        )  # fmt: skip
        own = self.split == "test" and all(value is None for value in others)
        if own and RunFolder.is_run(self.model):
            return RunFolder(self.model)
        raise ValueError(
            "--output: expected a folder for the results. A run's own is for its best checkpoint "
            "on its test set, decoded as its configuration says."
        )

    def utterances(self, asr_text: str) -> dict[str, dict[str, dict]]:
        """What is tested, by language, then by ID.

        Arguments
        ---------
        asr_text : str
            What recognition writes, see `vmsp_brain.data.manifests.read_manifest`.

        Raises
        ------
        ValueError
            If there is no manifest and no run, or a manifest's clips are not where it says.
        """
        data_folder = self.data_folder
        if self.manifest:
            paths = list(self.manifest)
        elif RunFolder.is_run(self.model):
            run = RunFolder(self.model)
            folder = run.path("manifest_folder")
            heard = dict.fromkeys(map(source_of, text_objectives(run.settings)))
            paths = [manifest_path(folder, language, self.split) for language in heard]
            data_folder = data_folder or run.settings["data_folder"]
        else:
            raise ValueError(f"--manifest: expected CSV files, since {self.model} is not a run.")
        how = data_folder or "$data_root", asr_text
        read = {path: read_manifest(path, *how) for path in paths}
        utterances: dict[str, dict[str, dict]] = {}
        for key, utterance in merged(read).items():
            utterances.setdefault(utterance["language"], {})[key] = utterance
        for path, own in read.items():
            if any(utterance["wav"].startswith("$data_root") for utterance in own.values()):
                raise ValueError(f"--data_folder: expected a folder, for {path} has $data_root.")
            first = file_of(next(iter(own.values()))["wav"]).absolute()
            if not first.is_file():
                raise ValueError(
                    f"--data_folder: {first}, the first clip of {path}, is not there. Give the "
                    "folder that holds <language>/clips."
                )
        return utterances

    def _overrides(self) -> dict[str, Any]:
        overrides: dict[str, Any] = {}
        if self.beam_size is not None:
            overrides["search"] = {"beam_size": self.beam_size}
        if self.ctc_weight is not None:
            overrides["objectives"] = {"recognition": {"ctc_weight_decode": self.ctc_weight}}
        return overrides


def _check_ctc(model: SpeechTranslator) -> None:
    recognition = [model.mods.objectives[f"asr/{language}"] for language in model.languages]
    if not any(getattr(objective, "ctc_weight", 0) for objective in recognition):
        raise ValueError(
            "--ctc_weight: no effect on this model, none of whose recognizers has CTC (it was "
            "trained with objectives[recognition][ctc_weight] 0, or recognizes nothing). Leave it "
            "out."
        )


def _check_output(output: Path) -> None:
    """Before hours of decoding: the folder can be made, and holds no run's own results."""
    above = [folder for folder in (output.resolve(), *output.resolve().parents) if folder.exists()]
    for folder in above:
        if RunFolder.is_run(folder):
            raise ValueError(
                f"--output: {output} is in the run {folder}, which holds the results of its own "
                "test alone. Choose a folder outside of it."
            )
    if not above[0].is_dir() or not os.access(above[0], os.W_OK):
        found = "a folder that must not be written to" if above[0].is_dir() else "a file"
        raise ValueError(f"--output: {above[0]} is {found}. Choose another folder.")


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
        If the model does not know a language, or its utterances have no text to be scored by.
    """
    tokenizers = model.hparams.tokenizers
    objectives = {name: model.mods.objectives[name] for name in tokenizers}
    sources, names_of = {}, {}
    for language, spoken in utterances.items():
        names_of[language] = [name for name, o in objectives.items() if language in o.sources]
        if not names_of[language]:
            raise ValueError(
                f"language: found {language!r} in the manifest, expected one of "
                f"{', '.join(model.languages)}, which the model knows."
            )
        own = {name: tokenizers[name] for name in names_of[language]}
        if not any(target_text(name, utterance) for name in own for utterance in spoken.values()):
            raise ValueError(
                f"{language}: none of the {len(spoken)} utterances in the manifest has a text for "
                f"{', '.join(own)}: there is nothing to score."
            )
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


_SPEAKERS_SCORES: dict[str, tuple[str, Callable[[list[Hypothesis], str], float]]] = {
    "asr": ("WER", word_error_rate),
    "st": ("BLEU", bleu),
    "lid": ("LID", accuracy),
}


def write_speakers(
    path: str | Path, hypotheses: Mapping[str, list[Hypothesis]], speakers: Mapping[str, str]
) -> None:
    """Write WER, BLEU or LID of every speaker for each objective, the most difficult first (CSV).

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
        task, _, part = name.partition("/")
        metric, score = _SPEAKERS_SCORES[task]
        scored = [(speaker, len(own), score(own, part)) for speaker, own in of_speaker.items()]
        scored.sort(key=lambda row: row[2], reverse=task == "asr")
        rows += [[name, speaker, number, metric, f"{x:.2f}"] for speaker, number, x in scored]
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["objective", "speaker", "utterances", "metric", "score"])
    table.writerows(rows)
    write_whole(path, text.getvalue())
