"""How many parameters a model has, part by part."""

import itertools
from collections.abc import Iterable, Mapping

from torch import nn

from vmsp_brain.encoders import Encoder


def parameter_table(encoder: Encoder, objectives: Mapping[str, nn.Module]) -> str:
    """Millions of parameters of the encoder's layers and of each head, as a table for people.

    Neighbours of equal size share a row.

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
    >>> encoder.layers = lambda: dict.fromkeys(["block_01", "block_02"], encoder.block)
    >>> print(parameter_table(encoder, {"ssl": nn.Linear(999, 500)}))
    Parameters, millions           all  trained
    encoder                      1.000    0.000
      block_01 to block_02       1.000    0.000 each
    heads                        0.500    0.500
      ssl                        0.500    0.500
    """
    lines = [f"{'Parameters, millions':<26}{'all':>8}{'trained':>9}"]
    lines += [_line("encoder", [encoder])]
    lines += _rows(encoder.layers())
    lines += [_line("heads", objectives.values())]
    lines += _rows(objectives)
    return "\n".join(lines)


def _rows(parts: Mapping[str, nn.Module]) -> list[str]:
    rows = []
    for _, group in itertools.groupby(parts.items(), lambda part: _counts([part[1]])):
        names, modules = zip(*group, strict=True)
        title = f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]
        rows.append(_line(f"  {title}", modules[:1], " each" if len(names) > 1 else ""))
    return rows


def _line(name: str, modules: Iterable[nn.Module], note: str = "") -> str:
    every, trained = _counts(modules)
    return f"{name:<26}{every / 1e6:>8.3f}{trained / 1e6:>9.3f}{note}"


def _counts(modules: Iterable[nn.Module]) -> tuple[int, int]:
    """Of all parameters, and of those that are trained."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
