"""Starting from parameters that were trained before: what is loaded, what is missing, what is left.

Nothing is loaded by halves: a tensor of another shape is an error that names it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder


@dataclass
class Transfer:
    """Names of tensors.

    Arguments
    ---------
    loaded : list of str
        Found in the file and in the module.
    missing : list of str
        Of the module, not in the file: they stay as they were.
    left_out : list of str
        In the file, not in the module.
    """

    loaded: list[str]
    missing: list[str]
    left_out: list[str]

    def report(self, title: str) -> str:
        """Lines for people; tensors of one part are counted together."""
        lines = [f"{title}: {len(self.loaded)} tensors loaded"]
        for text, names in (
            ("missing, stay as they were", self.missing),
            ("left out", self.left_out),
        ):
            parts = [f"{part} ({number})" for part, number in _parts(names).items()]
            lines.append(f"  {text}: {', '.join(parts) or 'none'}")
        return "\n".join(lines)


def transfer_parameters(module: nn.Module, state: Mapping[str, Tensor], source: str) -> Transfer:
    """Load what the module and a state dict have in common.

    Arguments
    ---------
    module : Module
        Is changed in place.
    state : dict
        Tensors by name.
    source : str
        Where they are from, for the message.

    Raises
    ------
    ValueError
        If tensors of one name have different shapes, or there is no common name.
    """
    own = module.state_dict()
    common = [name for name in own if name in state]
    different = [name for name in common if own[name].shape != state[name].shape]
    if different:
        shapes = [
            f"  {name}: {tuple(state[name].shape)} there, {tuple(own[name].shape)} here"
            for name in different
        ]
        raise ValueError(
            f"{source}: tensors of other shapes than the model's:\n" + "\n".join(shapes) + "\n"
            "Build the model with the sizes it was trained with."
        )
    if own and not common:
        raise ValueError(
            f"{source}: no tensor there has a name that the model knows, such as "
            f"{next(iter(own))}; found {', '.join(list(state)[:3])}. It is of another kind of "
            "model."
        )
    module.load_state_dict({name: state[name] for name in common}, strict=False)
    return Transfer(
        common,
        [name for name in own if name not in state],
        [name for name in state if name not in own],
    )


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
    found = Checkpointer(run / "save").find_checkpoint() if (run / "save").is_dir() else None
    if found is None:
        raise FileNotFoundError(
            f"init_from: {run} holds no checkpoint of a run (no save folder with one in it). Give "
            "the output_folder of a trained run, or one of its checkpoints."
        )
    return found.path


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: this is no whole checkpoint of a run.")
    return torch.load(path, map_location="cpu", weights_only=True)


def _parts(names: Iterable[str]) -> Counter:
    """How many tensors each part has, a part being the first two steps of a name."""
    return Counter(".".join(name.split(".")[:2]) for name in names)


def _print(text: str) -> None:
    if if_main_process():
        print(text, flush=True)
