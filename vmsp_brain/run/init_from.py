"""``init_from``: a run that starts from an earlier run's encoder, heads and tokenizers."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, nn

from vmsp_brain.data.vocabularies import text_objectives, tokenizer_path
from vmsp_brain.encoders.interface import Encoder
from vmsp_brain.encoders.loading import transfer_parameters
from vmsp_brain.files import whole_file
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.folder import RunFolder


def adopt_tokenizers(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: the earlier run's tokenizers, so that its heads keep their meaning.

    Raises
    ------
    FileNotFoundError
        If the earlier run has none.
    ValueError
        If other tokenizers are there already.
    """
    if not hparams["init_from"]:
        return
    folder = Path(hparams["init_from"])
    if (folder / "encoder.ckpt").is_file():
        folder = folder.parent.parent  # a checkpoint was given: <run>/save/<checkpoint>
    paths = {tokenizer_path(hparams, name) for name in text_objectives(hparams)}
    tokenizers = RunFolder(folder).tokenizers
    earlier = {path: tokenizers / path.name for path in sorted(paths)}
    adopted = {path: source for path, source in earlier.items() if source.is_file()}
    if not adopted:
        raise FileNotFoundError(
            f"init_from: found no tokenizer of this run's languages in {tokenizers}, "
            "expected those that the heads were trained with. Give the output_folder of a run."
        )
    for path, source in adopted.items():
        if path.is_file() and path.read_bytes() != source.read_bytes():
            raise ValueError(
                f"{path} is another tokenizer than {source}, with which the heads of init_from "
                "were trained. Give another tokenizer_folder."
            )
        with whole_file(path) as partial:
            shutil.copyfile(source, partial)
    print(f"Tokenizers of {folder}: {', '.join(path.name for path in adopted)}.")


def start_from_earlier_run(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: its encoder and heads, unless this run has checkpoints of its own."""
    if hparams["init_from"] and hparams["checkpointer"].find_checkpoint() is None:
        start_from_run(hparams["init_from"], hparams["encoder"], hparams["objectives"])


def start_from_run(run: str | Path, encoder: Encoder, objectives: nn.ModuleDict) -> list[str]:
    """Take over the encoder, and the heads that are there, from an earlier run's last checkpoint.

    Heads of other languages and pairs stay as they are. A head means something only with the
    vocabulary that it was trained with: take that over too.

    Arguments
    ---------
    run : Path
        The run's output folder, or one of its checkpoints.
    encoder : Encoder
        This run's encoder.
    objectives : ModuleDict
        This run's objectives by name.

    Returns
    -------
    list of str
        The objectives whose heads were loaded.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If a tensor has another shape.
    """
    checkpoint = _checkpoint_of(Path(run))
    title = f"{checkpoint}/encoder.ckpt"
    _print(transfer_parameters(encoder, _load(checkpoint / "encoder.ckpt"), title).report(title))
    heads: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _load(checkpoint / "objectives.ckpt").items():
        head, _, rest = name.partition(".")
        heads.setdefault(head, {})[rest] = tensor
    known = [name for name in objectives if name in heads]
    for name in known:
        title = f"{checkpoint}/objectives.ckpt, {name}"
        transfer = transfer_parameters(objectives[name], heads[name], title)
        _print(transfer.report(title))
    fresh = [name for name in objectives if name not in heads]
    left = [name for name in heads if name not in objectives]
    _print(f"New heads: {', '.join(fresh) or 'none'}. Left out: {', '.join(left) or 'none'}.")
    return known


def _checkpoint_of(run: Path) -> Path:
    if (run / "encoder.ckpt").is_file():
        return run
    folder = RunFolder(run).checkpoints
    found = AtomicCheckpointer(folder).find_checkpoint() if folder.is_dir() else None
    if found is None:
        raise FileNotFoundError(
            f"init_from: {run} holds no checkpoint of a run (there is none in {folder}). Give "
            "the output_folder of a trained run, or one of its checkpoints."
        )
    return found.path


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: this is no whole checkpoint of a run.")
    return torch.load(path, map_location="cpu", weights_only=True)


def _print(text: str) -> None:
    if if_main_process():
        print(text, flush=True)
