"""From a run to a model: a folder for `SpeechTranslator.from_hparams`, here or elsewhere."""

import shutil
from copy import copy
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from speechbrain.utils.checkpoints import Checkpoint, average_checkpoints
from speechbrain.utils.logger import get_logger

from vmsp_brain.data.manifests import longest_duration, manifest_path
from vmsp_brain.data.tokenizers import load_tokenizer
from vmsp_brain.data.vocabularies import identifies_language, text_objectives, tokenizer_path
from vmsp_brain.files import put_in_place
from vmsp_brain.names import source_of
from vmsp_brain.run.best import best_checkpoint, last_checkpoints
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.options.checks import check_search
from vmsp_brain.use.model_card import model_card

logger = get_logger(__name__)

WEIGHTS = ("encoder", "objectives")

_OF_LID = (
    "    lid: !new:vmsp_brain.data.tokenizers.LanguageTokenizer",
    "        languages: !ref <languages>",
)


def export_run(
    run_folder: str | Path,
    target: str | Path,
    average: int | None = None,
    repository: str | None = None,
) -> None:
    """Write a run's model.

    Arguments
    ---------
    run_folder : Path
        The run's output folder.
    target : Path
        The model's folder; must not exist.
    average : int, optional
        Take the mean of the weights of so many last epochs, in place of the best checkpoint.
    repository : str, optional
        The name that the model will have on the hub, for its card.

    Raises
    ------
    FileExistsError
        If the target is there.
    FileNotFoundError, ValueError
        If it is no run, has no, or not enough, or damaged checkpoints, refers to absolute paths,
        or declares a search that cannot be done.

    Example
    -------
    >>> export_run("results/mini", "another_model")
    >>> sorted(path.name for path in Path("another_model").glob("*.ckpt"))
    ['asr_en.ckpt', 'asr_fr.ckpt', 'encoder.ckpt', 'objectives.ckpt', 'st_joint.ckpt']
    """
    run, target = RunFolder(run_folder), Path(target)
    if target.exists():
        raise FileExistsError(f"{target} exists. Remove it, or choose another folder.")
    if not RunFolder.is_run(run.folder):
        raise FileNotFoundError(
            f"{run.folder} is not a run's output_folder, which has hyperparams.yaml and log.txt; "
            "a model is made of a run."
        )
    check_search(run.configuration, "test_search", run.settings["test_search"])
    text = _hyperparams(run.settings, _longest_clip(run))
    checkpoints = last_checkpoints(run, average) if average else [best_checkpoint(run)]
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed export left
    partial.mkdir(parents=True)
    for name in WEIGHTS:
        torch.save(_mean_weights(checkpoints, name), partial / f"{name}.ckpt")
    for name, path in _tokenizers(run).items():
        load_tokenizer(path)  # it is whole
        shutil.copyfile(path, partial / f"{name}.ckpt")
    (partial / "hyperparams.yaml").write_text(text, encoding="utf-8")
    (partial / "README.md").write_text(model_card(run, checkpoints, repository), encoding="utf-8")
    put_in_place(partial, target)


def _mean_weights(checkpoints: list[Checkpoint], name: str) -> dict[str, torch.Tensor]:
    same: dict[str, str] = {}

    def read(path: Path, map_location: str) -> dict[str, torch.Tensor]:
        """Each tensor once: heads that share a decoder have it under a name each."""
        tensors = torch.load(path, map_location, weights_only=True)
        first: dict[tuple, str] = {}
        same.update({key: first.setdefault(_place(tensor), key) for key, tensor in tensors.items()})
        return {key: tensors[key] for key in first.values()}

    try:
        mean = average_checkpoints(checkpoints, name, read)
        return {key: mean[own] for key, own in same.items()}
    except Exception as error:  # whatever a file may hold
        paths = ", ".join(str(checkpoint.path / f"{name}.ckpt") for checkpoint in checkpoints)
        raise ValueError(
            f"{paths} cannot be read ({type(error).__name__}). If the file is damaged, remove its "
            "folder: the next best checkpoint is taken then."
        ) from error


def _place(tensor: torch.Tensor) -> tuple:
    """The same of two tensors if they are one in memory."""
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _tokenizers(run: RunFolder) -> dict[str, Path]:
    """Files by the names that they have in the model."""
    settings = _with_tokenizers(run.settings, run.tokenizers)
    paths = [tokenizer_path(settings, name) for name in text_objectives(settings)]
    return {path.stem: path for path in paths}


def _with_tokenizers(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A copy, of the same kind: it names its file where a key is missing."""
    changed = copy(settings)
    changed["tokenizer_folder"] = folder
    return changed


def _longest_clip(run: RunFolder) -> float:
    """Seconds of the longest clip that the run was trained on."""
    heard = dict.fromkeys(map(source_of, text_objectives(run.settings)))
    paths = [manifest_path(run.path("manifest_folder"), language, "train") for language in heard]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        logger.warning(
            f"{', '.join(missing)} are not there, to tell the longest clip of training: long "
            f"recordings are cut for max_duration, {run.settings['max_duration']} s."
        )
        return float(run.settings["max_duration"])
    return max(map(longest_duration, paths))


def _hyperparams(settings: dict[str, Any], longest: float) -> str:
    """What decoding needs of the run's configuration, and what loads it."""
    keys = (
        "languages", "pairs", "only", "asr_text", "wer_normalizer", "max_duration", "encoder",
        "objectives",
    )  # fmt: skip
    head = _dumped(
        {key: settings[key] for key in keys if key in settings}
        | {"search": settings["test_search"], "max_duration": longest}
    )
    tokenizers = {
        name: tokenizer_path(_with_tokenizers(settings, Path()), name).stem
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
            *(_OF_LID if identifies_language(settings) else []),
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
