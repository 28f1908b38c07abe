"""From a run to a model: a folder for `SpeechTranslator.from_hparams`, here or elsewhere."""

import shutil
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer, average_checkpoints

from vmsp_brain.data.vocabularies import text_objectives, tokenizer_path
from vmsp_brain.files import put_in_place
from vmsp_brain.run.checkpoints import primary_metric
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.use.inference import SpeechTranslator
from vmsp_brain.use.model_card import model_card

WEIGHTS = ("encoder", "objectives")


def export_run(run_folder: str | Path, target: str | Path, average: int | None = None) -> None:
    """Write a run's model.

    Arguments
    ---------
    run_folder : Path
        The run's output folder.
    target : Path
        The model's folder; must not exist.
    average : int, optional
        Take the mean of the weights of so many last epochs, in place of the best checkpoint.

    Raises
    ------
    FileExistsError
        If the target is there.
    FileNotFoundError, ValueError
        If the run has no, or not enough, checkpoints, or refers to absolute paths.
    """
    run, target = RunFolder(run_folder), Path(target)
    if target.exists():
        raise FileExistsError(f"{target} exists. Remove it, or choose another folder.")
    checkpoints = _chosen_checkpoints(run, average)
    text = _hyperparams(run.settings)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed export left
    partial.mkdir(parents=True)
    for name in WEIGHTS:
        torch.save(average_checkpoints(checkpoints, name), partial / f"{name}.ckpt")
    for name, path in _tokenizers(run).items():
        shutil.copyfile(path, partial / f"{name}.ckpt")
    (partial / "hyperparams.yaml").write_text(text, encoding="utf-8")
    (partial / "README.md").write_text(model_card(run, checkpoints), encoding="utf-8")
    put_in_place(partial, target)


def load_model(
    source: str, average: int | None = None, overrides: dict | None = None, device: str = "cpu"
) -> SpeechTranslator:
    """The model of a run, of an exported folder, or of a repository on the Hugging Face hub.

    Arguments
    ---------
    source : str
        Folder or repository.
    average : int, optional
        As for `export_run`; for runs alone.
    overrides : dict
        Of the model's ``hyperparams.yaml``.
    device : str
        Such as cpu or cuda.
    """
    options = {"overrides": overrides or {}, "run_opts": {"device": device}}
    if not RunFolder.is_run(source):
        if average is not None:
            raise ValueError(
                f"average: {source} is not a run; an exported model has one checkpoint."
            )
        return SpeechTranslator.from_hparams(source=source, **options)
    with tempfile.TemporaryDirectory() as folder:
        export_run(source, Path(folder) / "model", average)
        return SpeechTranslator.from_hparams(source=str(Path(folder) / "model"), **options)


def _chosen_checkpoints(run: RunFolder, average: int | None) -> list[Checkpoint]:
    checkpointer = Checkpointer(run.path("save_folder"))
    if average is None:
        hierarchy = load_hyperpyyaml(StringIO(_dumped({"hierarchy": run.settings["hierarchy"]})))[
            "hierarchy"
        ]
        best = checkpointer.find_checkpoint(**primary_metric(hierarchy.levels[0].names))
        found = [best] if best else []
    else:
        found = checkpointer.find_checkpoints(
            max_num_checkpoints=average, ckpt_predicate=lambda c: c.meta["end-of-epoch"]
        )
    if len(found) < (average or 1):
        raise FileNotFoundError(
            f"{run.path('save_folder')} holds {len(found)} checkpoints, expected {average or 1}. "
            "Train first; to average over several, train with --checkpoints_to_keep."
        )
    return found


def _tokenizers(run: RunFolder) -> dict[str, Path]:
    """Files by the names that they have in the model."""
    settings = {**run.settings, "tokenizer_folder": run.path("tokenizer_folder")}
    paths = [tokenizer_path(settings, name) for name in text_objectives(settings)]
    return {path.stem: path for path in paths}


def _hyperparams(settings: dict[str, Any]) -> str:
    """What decoding needs of the run's configuration, and what loads it."""
    keys = ("languages", "pairs", "max_duration", "encoder", "objectives")
    head = _dumped({key: settings[key] for key in keys} | {"search": settings["test_search"]})
    tokenizers = {
        name: tokenizer_path({**settings, "tokenizer_folder": ""}, name).stem
        for name in text_objectives(settings)
    }
    files = list(dict.fromkeys(tokenizers.values()))
    return "\n".join(
        [
            "# A model for vmsp_brain's SpeechTranslator.from_hparams. This file is code.",
            *(line for line in head.splitlines() if line.split("#")[0].strip()),
            "modules:",
            *(f"    {name}: !ref <{name}>" for name in WEIGHTS),
            *(f"{name}: !new:sentencepiece.SentencePieceProcessor" for name in files),
            "tokenizers:",
            *(f"    {objective}: !ref <{name}>" for objective, name in tokenizers.items()),
            "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer",
            "    loadables:",
            *(f"        {name}: !ref <{name}>" for name in (*WEIGHTS, *files)),
            "",
        ]
    )


def _dumped(settings: dict[str, Any]) -> str:
    """A part of a configuration as YAML, with all that it refers to.

    Raises
    ------
    ValueError
        If there is a path of this machine in it, which another one would not have.
    """
    stream = StringIO()
    ruamel.yaml.YAML().dump(settings, stream)
    words = stream.getvalue().split()
    local = [
        word
        for key, word in zip(["", *words], words, strict=False)
        if word.startswith("/") or (key == "source:" and Path(word).is_dir())
    ]
    if local:
        raise ValueError(
            f"hyperparams.yaml: {', '.join(local)} is a path of this machine, which the model "
            "would need elsewhere. Train with a name on the hub in its place."
        )
    return stream.getvalue()
