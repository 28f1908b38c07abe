"""Which model a name means, and the model: of a run, of an exported folder, or of the hub's."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from vmsp_brain.data.tokenizers import load_tokenizer
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.options.checks import check_search
from vmsp_brain.use.export import WEIGHTS, export_run
from vmsp_brain.use.inference import SpeechTranslator

CONFIGURATION = "hyperparams.yaml"
"""What a run, an exported folder and a repository all have."""


def load_model(
    source: str,
    average: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "cpu",
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

    Raises
    ------
    FileNotFoundError, ValueError
        As `check_model` does; if the model is not whole, declares a search that cannot be done, or
        there is no such device.

    Example
    -------
    >>> model = load_model("results/mini")
    >>> model.languages, model.pairs
    (['en', 'fr'], ['fr-en'])
    """
    check_model(source)
    _check_device(device)
    options = {"overrides": dict(overrides or {}), "run_opts": {"device": device}}
    if RunFolder.is_run(source):
        with tempfile.TemporaryDirectory() as folder:
            export_run(source, Path(folder) / "model", average)
            try:
                return SpeechTranslator.from_hparams(source=str(Path(folder) / "model"), **options)
            except Exception as error:  # whatever a file may hold
                raise RunFolder(source).damaged_configuration(error) from error
    if average is not None:
        raise ValueError(f"average: {source} is not a run; an exported model has one checkpoint.")
    try:
        model = SpeechTranslator.from_hparams(source=source, **options)
    except Exception as error:  # whatever a file may hold
        why = _faults(Path(source)) or f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{source} cannot be loaded: {why}. Export the run again, or copy the model again from "
            "where it is whole."
        ) from error
    check_search(f"{source}/{CONFIGURATION}", "search", model.hparams.search)
    return model


def check_model(source: str) -> None:
    """Refuse what is neither a run, nor an exported model, nor a repository on the hub.

    The hub is asked, once, about a name such as ``owner/model`` whose owner is no folder here.

    Raises
    ------
    FileNotFoundError
        If it is none of them.
    """
    folder = Path(source)
    if (folder / CONFIGURATION).is_file():
        return
    if folder.exists():
        raise FileNotFoundError(
            f"{source} is neither a run nor an exported model: it holds no {CONFIGURATION}."
        )
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", source) or folder.parent.is_dir():
        raise FileNotFoundError(
            f"{source}: there is no such run or model. Give a run's output_folder, an exported "
            "model's folder, or a repository on the Hugging Face hub such as owner/model."
        )
    _find_on_hub(source)


def _find_on_hub(name: str) -> None:
    try:
        hf_hub_download(name, CONFIGURATION, local_files_only=True)  # what was downloaded before
    except LocalEntryNotFoundError:
        try:
            HfApi().model_info(name, timeout=10)
        except Exception as error:  # of whichever library the hub's client speaks HTTP with
            raise FileNotFoundError(
                f"{name}: there is no such folder, and no such model on the Hugging Face hub can "
                f"be reached ({str(error).splitlines()[0]})."
            ) from error


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device: found {device!r}, expected one of this machine, such as cpu or cuda "
            f"({str(error).splitlines()[0]})."
        ) from error


def _faults(folder: Path) -> str:
    """Which of a model's files are missing or cannot be read."""
    try:
        files = list(ruamel.yaml.YAML().load(folder / CONFIGURATION)["pretrainer"]["loadables"])
    except Exception:
        return f"{CONFIGURATION} is damaged"
    faults = {f"{name}.ckpt": _fault(folder / f"{name}.ckpt", name in WEIGHTS) for name in files}
    return ", ".join(f"{name} {fault}" for name, fault in faults.items() if fault)


def _fault(path: Path, is_weights: bool) -> str:
    if not path.is_file():
        return "is missing"
    try:
        torch.load(path, weights_only=True) if is_weights else load_tokenizer(path)
    except Exception:
        return "is damaged"
    return ""
