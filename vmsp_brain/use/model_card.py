"""The model card of an exported run: what it is, what it scored, what it may be used for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData
from speechbrain.utils.checkpoints import Checkpoint

from vmsp_brain.data.text import CASED, NORMALIZED
from vmsp_brain.run.folder import RunFolder

_CARD = """---
{metadata}
---

# {title}

One speech encoder with a head for the recognition of each of {languages}{translation}, trained with
VM-MSP for SpeechBrain in the order {order}. Recognition writes {text}.

## Use

```python
from vmsp_brain import SpeechTranslator

model = SpeechTranslator.from_hparams(source="{source}")
model.transcribe_file("speech.wav", "{first_language}")
{translate}```

`hyperparams.yaml` is code: load only models that you trust.

## Results

{results}

## Training

{training}

## Licence

{licences}
"""


_TEXTS = {
    NORMALIZED: "lower case without punctuation",
    CASED: "sentences with case and punctuation",
}


class _Corpus(NamedTuple):
    licence: str
    licence_name: str | None
    dataset: tuple[str, str]
    trained: str
    licences: str


_MINI = _Corpus(
    "mit",
    None,
    ("mini_covost", "mini-CoVoST (synthetic)"),
    "Trained on mini-CoVoST, a synthetic corpus of eSpeak NG's speech: a demonstration, not a "
    "model of real speech.",
    "The code and the corpus's sentences are MIT.",
)
_COVOST = _Corpus(
    "cc-by-nc-4.0",
    None,
    ("covost2", "CoVoST 2"),
    "Trained on a corpus in CoVoST 2's layout.",
    "CoVoST 2's translations are CC BY-NC 4.0, Common Voice's speech and sentences CC0; the code "
    "is MIT. If you trained on another corpus, its licence counts: correct this card.",
)
_OTHER = _Corpus(
    "other",
    "of-the-training-data",
    ("manifests", "the trainer's own"),
    "Trained on manifests of the trainer's own.",
    "The code is MIT. The licence of the data that you trained on counts: correct this card.",
)


def model_card(run: RunFolder, checkpoints: list[Checkpoint], repository: str | None = None) -> str:
    """The text of README.md.

    Arguments
    ---------
    run : RunFolder
        The run.
    checkpoints : list
        Whose weights the model has; the mean of several.
    repository : str, optional
        Where it will be on the hub.
    """
    settings = run.settings
    corpus = _corpus(run)
    report = run.read_report() if len(checkpoints) == 1 and run.scores.exists() else None
    epochs = sorted(checkpoint.meta["epoch"] for checkpoint in checkpoints)
    first_pair = next(iter(settings["pairs"]), None)
    return _CARD.format(
        metadata=_metadata(run, corpus, report or {}),
        source=repository or "this folder",
        languages=", ".join(settings["languages"]),
        title=run.folder.resolve().name,
        translation=f" and for the translation {', '.join(settings['pairs'])}"
        if first_pair
        else "",
        order=settings["order"],
        text=_TEXTS[settings.get("asr_text", NORMALIZED)],
        first_language=settings["languages"][0],
        translate=f'model.translate_file("speech.wav", "{first_pair}")\n' if first_pair else "",
        results=_results(run, report),
        training=f"{corpus.trained} Weights of epoch {', '.join(map(str, epochs))}, seed "
        f"{settings['seed']}.",
        licences=corpus.licences,
    )


def _metadata(run: RunFolder, corpus: _Corpus, report: dict[str, Any]) -> str:
    """What the hub reads: it finds models by them, and shows their scores."""
    settings = run.settings
    targets = [pair.rpartition("-")[2] for pair in settings["pairs"]]
    codes = (code.partition("-")[0] for code in [*settings["languages"], *targets])
    results = list(_eval_results(corpus, report))
    data = ModelCardData(
        language=list(dict.fromkeys(codes)),
        license=corpus.licence,
        license_name=corpus.licence_name,
        library_name="speechbrain",
        pipeline_tag="automatic-speech-recognition",
        tags=["speech-recognition", "speech-translation", "multilingual", "vm-msp"],
        metrics=[metric for metric in ("wer", "bleu") if metric in report] or None,
        model_name=run.folder.resolve().name,
        eval_results=results or None,
    )
    return data.to_yaml()


def _eval_results(corpus: _Corpus, report: dict[str, Any]) -> Iterator[EvalResult]:
    """A score of every language and pair on its test set."""
    recognition = "automatic-speech-recognition"
    tasks = {"wer": recognition, "wer_normalized": recognition, "bleu": "translation"}
    for metric, task in tasks.items():
        kind, _, normalized = metric.partition("_")
        for part, score in report.get(metric, {}).items():
            of_characters = kind == "wer" and part in report.get("wer_of_characters", ())
            yield EvalResult(
                task_type=task,
                dataset_type=corpus.dataset[0],
                dataset_name=corpus.dataset[1],
                dataset_config=part,
                dataset_split="test",
                metric_type="cer" if of_characters else kind,
                metric_name="of normalized text" if normalized else None,
                metric_value=round(score, 2),
            )


def _corpus(run: RunFolder) -> _Corpus:
    """CoVoST, unless it is known to be another."""
    if (Path(run.settings["data_folder"]) / "mini_covost.json").exists():
        return _MINI
    manifests = run.path("manifest_folder")
    prepared = (manifests / "preparation.json").exists() or not manifests.exists()
    return _COVOST if prepared else _OTHER


def _results(run: RunFolder, report: dict[str, Any] | None) -> str:
    if report is None:
        return "Not measured; evaluate.py measures them."
    search = ", ".join(f"{key} {value}" for key, value in run.settings["test_search"].items())
    lines = [f"On the test set ({search}):"]
    titles = {"wer": "WER, %", "wer_normalized": "WER of normalized text, %"}
    for metric, title in (titles | {"bleu": "BLEU", "lid": "LID, %"}).items():
        if metric in report:
            scores = {**report[metric], "mean": report[f"{metric}_mean"]}
            lines += ["", f"| {' | '.join(['', *scores])} |", f"|{'---|' * (len(scores) + 1)}"]
            lines.append(f"| {' | '.join([title, *(f'{x:.2f}' for x in scores.values())])} |")
    if "bleu_signature" in report:
        lines += ["", f"sacreBLEU `{report['bleu_signature']}`; WER by jiwer."]
    if "wer_normalized_by" in report:
        lines += ["", f"Normalized by {report['wer_normalized_by']}."]
    if "wer_of_characters" in report:
        lines += ["", f"Of {', '.join(report['wer_of_characters'])} it is that of characters."]
    return "\n".join(lines)
