"""How many parameters a model has, part by part."""

from collections.abc import Iterable, Mapping

from torch import nn

from vmsp_brain.encoders import Encoder


def parameter_table(encoder: Encoder, objectives: Mapping[str, nn.Module]) -> str:
    """Millions of parameters of the encoder's layers and of each head, as a table for people.

    Arguments
    ---------
    encoder : Encoder
        The shared encoder.
    objectives : dict
        By name.

    Example
    -------
    >>> encoder = nn.Module()
    >>> encoder.block = nn.Linear(999, 1000).requires_grad_(False)
    >>> encoder.layers = lambda: {"block_01": encoder.block}
    >>> print(parameter_table(encoder, {"ssl": nn.Linear(999, 500)}))
    Parameters, millions     all  trained
    encoder                1.000    0.000
      block_01             1.000    0.000
    heads                  0.500    0.500
      ssl                  0.500    0.500
    """
    lines = [f"{'Parameters, millions':<20}{'all':>8}{'trained':>9}"]
    lines += [_line("encoder", [encoder])]
    lines += [_line(f"  {name}", [layer]) for name, layer in encoder.layers().items()]
    lines += [_line("heads", objectives.values())]
    lines += [_line(f"  {name}", [head]) for name, head in objectives.items()]
    return "\n".join(lines)


def _line(name: str, modules: Iterable[nn.Module]) -> str:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    counts = [
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
    ]
    return f"{name:<20}{counts[0] / 1e6:>8.3f}{counts[1] / 1e6:>9.3f}"
