"""Starting from parameters that were trained before: what is loaded, what is missing, what is left.

Nothing is loaded by halves: a tensor of another shape is an error that names it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


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
    tensors = module.state_dict()
    common = [name for name in tensors if name in state]
    different = [name for name in common if tensors[name].shape != state[name].shape]
    if different:
        shapes = [
            f"  {name}: {tuple(state[name].shape)} there, {tuple(tensors[name].shape)} here"
            for name in different
        ]
        raise ValueError(
            f"{source}: tensors of other shapes than the model's:\n" + "\n".join(shapes) + "\n"
            "Build the model with the sizes it was trained with."
        )
    if tensors and not common:
        raise ValueError(
            f"{source}: no tensor there has a name that the model knows, such as "
            f"{next(iter(tensors))}; found {', '.join(list(state)[:3])}. It is of another kind of "
            "model."
        )
    module.load_state_dict({name: state[name] for name in common}, strict=False)
    return Transfer(
        common,
        [name for name in tensors if name not in state],
        [name for name in state if name not in tensors],
    )


def _parts(names: Iterable[str]) -> Counter:
    """How many tensors each part has, a part being the first two steps of a name."""
    return Counter(".".join(name.split(".")[:2]) for name in names)
