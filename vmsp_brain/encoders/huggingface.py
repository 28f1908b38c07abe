"""What the encoders of transformers share: checking a source, freezing, gradient checkpointing."""

from collections.abc import Collection
from pathlib import Path

from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, PreTrainedConfig, PreTrainedModel

from vmsp_brain.audio import SAMPLE_RATE
from vmsp_brain.encoders.interface import Encoder

FILES = ("config.json", "preprocessor_config.json")
"""What a local folder must hold besides the weights."""


def read_config(source: str, save_path: str, model_types: Collection[str]) -> PreTrainedConfig:
    """The configuration of a pretrained model, checked to be of a kind that the encoder takes.

    Arguments
    ---------
    source : str
        A folder written by ``save_pretrained`` of the model and of its feature extractor, or a name
        on the Hugging Face hub.
    save_path : str
        Where downloads are kept.
    model_types : collection of str
        transformers' names of the kinds, such as wav2vec2.

    Raises
    ------
    FileNotFoundError
        If a folder lacks a file.
    ValueError
        If there is no such model, or it is of another kind or of another sampling rate.
    """
    folder = Path(source)
    missing = [file for file in FILES if folder.is_dir() and not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{source}: this folder has no {' and no '.join(missing)}, expected what "
            "save_pretrained of a model and of its feature extractor writes."
        )
    try:
        config = AutoConfig.from_pretrained(source, cache_dir=save_path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{source}: found neither a folder with a pretrained model nor a model of this name on "
            f"the Hugging Face hub. Correct the name or path. ({error})"
        ) from error
    if config.model_type not in model_types:
        raise ValueError(
            f"{source}: found a model of the kind {config.model_type!r}, expected one of "
            f"{', '.join(sorted(model_types))}."
        )
    rate = AutoFeatureExtractor.from_pretrained(source, cache_dir=save_path).sampling_rate
    if rate != SAMPLE_RATE:
        raise ValueError(
            f"{source}: preprocessor_config.json says that this model takes audio at {rate} Hz, "
            f"expected {SAMPLE_RATE} Hz. Take a model trained at that rate."
        )
    return config


def freeze_up_to(encoder: Encoder, blocks: int) -> None:
    """Freeze all layers below and with the first blocks; none if there are 0 of them.

    Raises
    ------
    ValueError
        If the encoder has no more blocks than that: nothing would be left to train.
    """
    layers = encoder.layers()
    names = [name for name in layers if name.startswith("block_")]
    if not 0 <= blocks < len(names):
        raise ValueError(
            f"frozen_blocks: found {blocks}, expected 0 to {len(names) - 1}: the encoder has "
            f"{len(names)} blocks, and something must be left to train."
        )
    if blocks == 0:
        return
    for name, layer in layers.items():
        layer.requires_grad_(False)
        if name == names[blocks - 1]:
            return


def checkpoint_gradients(model: PreTrainedModel) -> None:
    """Recompute activations in the backward passes: less memory for more time.

    Every loss of a forward has a backward pass of its own, and each recomputes: two losses cost
    1 + 2 (1 + 2) forwards in place of 1 + 2 x 2, 40 % more; a single one costs a third more.
    Non-reentrant, for the other kind fails under ``torch.autograd.grad``.
    """
    model.activation_checkpointing_enable({"use_reentrant": False})


def named_layers(
    front_end: list[nn.Module], blocks: nn.ModuleList, norm: nn.Module | None
) -> dict[str, nn.Module]:
    """Names as every encoder has them: front_end, block_01, block_02, ..., norm."""
    layers: dict[str, nn.Module] = {"front_end": nn.ModuleList(front_end)}
    layers |= {f"block_{number:02d}": block for number, block in enumerate(blocks, start=1)}
    if norm is not None:
        layers["norm"] = norm
    return layers


def in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """The model in float32, in which parameters are trained; some are published in float16."""
    return model.float()


def masks(config: PreTrainedConfig) -> bool:
    """Whether a model's configuration says that spans of time or features are masked."""
    return config.mask_time_prob > 0 or config.mask_feature_prob > 0
