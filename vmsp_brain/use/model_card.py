"""The model card of an exported run: what it is, what it scored, what it may be used for."""

from pathlib import Path

from speechbrain.utils.checkpoints import Checkpoint

from vmsp_brain.run.folder import RunFolder

_CARD = """---
library_name: speechbrain
tags: [speech-recognition, speech-translation, multilingual, vm-msp]
language: [{languages}]
license: {licence}
---

# {title}

One speech encoder with a head for the recognition of each of {languages}{translation}, trained with
VM-MSP for SpeechBrain in the order {order}.

## Use

```python
from vmsp_brain import SpeechTranslator

model = SpeechTranslator.from_hparams(source="this folder")
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

_MINI = (
    "mit",
    "Trained on mini-CoVoST, a synthetic corpus of eSpeak NG's speech: a demonstration, not a "
    "model of real speech.",
    "The code and the corpus's sentences are MIT.",
)
_COVOST = (
    "cc-by-nc-4.0",
    "Trained on a corpus in CoVoST 2's layout.",
    "CoVoST 2's translations are CC BY-NC 4.0, Common Voice's speech and sentences CC0; the code "
    "is MIT. If you trained on another corpus, its licence counts: correct this card.",
)

_OTHER = (
    "other",
    "Trained on manifests of the trainer's own.",
    "The code is MIT. The licence of the data that you trained on counts: correct this card.",
)


def model_card(run: RunFolder, checkpoints: list[Checkpoint]) -> str:
    """The text of README.md.

    Arguments
    ---------
    run : RunFolder
        The run.
    checkpoints : list
        Whose weights the model has; the mean of several.
    """
    settings = run.settings
    licence, corpus, licences = _corpus(run)
    epochs = sorted(checkpoint.meta["epoch"] for checkpoint in checkpoints)
    first_pair = next(iter(settings["pairs"]), None)
    return _CARD.format(
        languages=", ".join(settings["languages"]),
        licence=licence,
        title=run.folder.resolve().name,
        translation=f" and for the translation {', '.join(settings['pairs'])}"
        if first_pair
        else "",
        order=settings["order"],
        first_language=settings["languages"][0],
        translate=f'model.translate_file("speech.wav", "{first_pair}")\n' if first_pair else "",
        results=_results(run, averaged=len(checkpoints) > 1),
        training=f"{corpus} Weights of epoch {', '.join(map(str, epochs))}, seed "
        f"{settings['seed']}.",
        licences=licences,
    )


def _corpus(run: RunFolder) -> tuple[str, str, str]:
    """Licence, what was trained on, and licences: CoVoST's, unless it is known to be another's."""
    if (Path(run.settings["data_folder"]) / "mini_covost.json").exists():
        return _MINI
    manifests = run.path("manifest_folder")
    prepared = (manifests / "preparation.json").exists() or not manifests.exists()
    return _COVOST if prepared else _OTHER


def _results(run: RunFolder, averaged: bool) -> str:
    if averaged or not run.scores.exists():
        return "Not measured; evaluate.py measures them."
    report = run.read_report()
    search = ", ".join(f"{key} {value}" for key, value in run.settings["test_search"].items())
    lines = [f"On the test set ({search}):"]
    for metric, title in (("wer", "WER, %"), ("bleu", "BLEU")):
        if metric in report:
            scores = {**report[metric], "mean": report[f"{metric}_mean"]}
            lines += ["", f"| {' | '.join(['', *scores])} |", f"|{'---|' * (len(scores) + 1)}"]
            lines.append(f"| {' | '.join([title, *(f'{x:.2f}' for x in scores.values())])} |")
    if "bleu_signature" in report:
        lines += ["", f"sacreBLEU `{report['bleu_signature']}`; WER by jiwer."]
    if "wer_of_characters" in report:
        lines += ["", f"Of {', '.join(report['wer_of_characters'])} it is that of characters."]
    return "\n".join(lines)
