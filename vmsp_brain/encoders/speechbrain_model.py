"""The encoder of a model that a recipe of SpeechBrain trained, as the shared encoder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.checkpoints import (
    DEFAULT_TRANSFER_HOOKS,
    get_default_hook,
    torch_parameter_transfer,
)
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.fetching import fetch
from speechbrain.utils.parameter_transfer import Pretrainer
from torch import Tensor, nn

from vmsp_brain.encoders.conformer import ConformerEncoder
from vmsp_brain.encoders.loading import Transfer, transfer_parameters

FILE = "hyperparams.yaml"


class FixedNormalization(nn.Module):
    """The statistics of a trained ``InputNormalization``, which training here leaves as they are.

    They are buffers: saved with the encoder and moved to its device, unlike SpeechBrain's.

    Arguments
    ---------
    trained : InputNormalization
        With ``norm_type: global``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trained: InputNormalization) -> None:
        super().__init__()
        self.register_buffer("mean", trained.glob_mean.clone())
        std = trained.glob_std if trained.std_norm else torch.ones_like(trained.glob_std)
        self.register_buffer("std", std.clamp(min=trained.epsilon))

    def forward(self, data: Tensor, relative_lengths: Tensor) -> Tensor:
        """Normalized filter banks (B, T, F)."""
        return (data - self.mean) / self.std


def speechbrain_encoder(
    source: str,
    features: str = "compute_features",
    normalize: str = "normalizer",
    front_end: str = "CNN",
    conformer: str = "Transformer",
    augment: nn.Module | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> ConformerEncoder:
    """Build and load the encoder that a ``hyperparams.yaml`` of SpeechBrain declares.

    The parameters are loaded by the file's own ``Pretrainer``, but only those that the encoder
    needs; what was loaded, was missing and was left out is printed. A hyperparams.yaml is code: use
    only files that you trust.

    Arguments
    ---------
    source : str
        A folder with a hyperparams.yaml for inference, or a name on the Hugging Face hub.
    features, normalize, front_end, conformer : str
        The keys of the encoder's parts in that file: filter banks, their normalization, a
        ``ConvolutionFrontEnd`` and a ``TransformerASR``.
    augment : Module, optional
        See `ConformerEncoder`.
    overrides : dict, optional
        Keys of the file to change.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If there is no such model, or it lacks a part, or a tensor has another shape.

    Example
    -------
    >>> encoder = speechbrain_encoder("asr_conformer")  # doctest: +ELLIPSIS
    /.../asr_conformer/asr.ckpt: 78 tensors loaded
      missing, stay as they were: none
      left out: 2.w (2), 1.decoder (20), 1.custom_tgt_module (1)
    >>> list(encoder.layers())
    ['front_end', 'block_01', 'block_02', 'norm']
    """
    hparams = _read_hparams(source, overrides)
    keys = (features, normalize, front_end, conformer)
    parts = {key: _part(hparams, key, source) for key in keys}
    # The decoder belongs to the objectives here.
    for name in ("decoder", "custom_tgt_module"):
        if hasattr(parts[conformer], name):
            delattr(parts[conformer], name)
    _load_parts(_part(hparams, "pretrainer", source), parts, source)
    normalization = parts[normalize]
    if getattr(normalization, "norm_type", None) == "global":
        normalization = FixedNormalization(normalization)
    return ConformerEncoder(
        parts[features], parts[front_end], parts[conformer], normalization, augment
    )


def _read_hparams(source: str, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    if Path(source).is_dir() and not (Path(source) / FILE).is_file():
        raise FileNotFoundError(
            f"{source}: this folder has no {FILE}, expected a model that a recipe of SpeechBrain "
            "saved for inference."
        )
    try:
        path = fetch(FILE, source)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{source}: found neither a folder with a {FILE} nor a model of this name on the "
            f"Hugging Face hub. Correct the name or path. ({error})"
        ) from error
    with Path(path).open(encoding="utf-8") as file:
        return load_hyperpyyaml(file, dict(overrides or {}))


def _part(hparams: Mapping[str, Any], key: str, source: str) -> Any:
    if key not in hparams:
        raise ValueError(
            f"{source}/{FILE} has no key {key}. Its keys are {', '.join(hparams)}; say which is "
            "which (features, normalize, front_end, conformer)."
        )
    return hparams[key]


def _load_parts(pretrainer: Pretrainer, parts: Mapping[str, nn.Module], source: str) -> None:
    """Let SpeechBrain's Pretrainer load the files that hold the parts, and no others."""
    stateful = {
        key: part
        for key, part in parts.items()
        if any(True for _ in part.parameters()) or getattr(part, "norm_type", None) == "global"
    }
    holders = {
        name: loadable
        for name, loadable in pretrainer.loadables.items()
        if isinstance(loadable, nn.Module)
        and any(module is part for part in stateful.values() for module in loadable.modules())
    }
    held = [module for loadable in holders.values() for module in loadable.modules()]
    for key, part in stateful.items():
        if not any(module is part for module in held):
            raise ValueError(
                f"{source}/{FILE}: the pretrainer loads {', '.join(pretrainer.loadables)}, none of "
                f"which holds {key}. Add it to the pretrainer's loadables."
            )
    pretrainer.loadables = holders
    pretrainer.add_custom_hooks(
        {
            name: lambda module, path: _load_part(module, path, stateful.values())
            for name, loadable in holders.items()
            if get_default_hook(loadable, DEFAULT_TRANSFER_HOOKS) is torch_parameter_transfer
        }
    )
    files = pretrainer.collect_files(default_source=source)
    for path in files.values():
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"{path} is missing; the pretrainer of {source}/{FILE} wants it."
            )
    pretrainer.load_collected()


def _load_part(module: nn.Module, path: str, wanted: Iterable[nn.Module]) -> None:
    """SpeechBrain's transfer hook, which tells what it did, and refuses other shapes by name."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    transfer = transfer_parameters(module, state, str(path))
    ours = {tensor.data_ptr() for part in wanted for tensor in part.state_dict().values()}
    tensors = module.state_dict()
    used = [name for name in transfer.loaded if tensors[name].data_ptr() in ours]
    unused = [name for name in transfer.loaded if name not in used]
    missing = [name for name in transfer.missing if tensors[name].data_ptr() in ours]
    report = Transfer(used, missing, unused + transfer.left_out)
    if if_main_process():
        print(report.report(str(path)), flush=True)
