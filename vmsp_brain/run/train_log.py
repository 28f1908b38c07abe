"""The log of epochs that SpeechBrain's FileTrainLogger writes, read again.

A line is in the file when its epoch is, whatever kills the run after that; TensorBoard's files come
later.
"""

import re
from pathlib import Path

from vmsp_brain.run.curves import Curve

_EPOCH = re.compile(r"epoch: (\d+)(?:,| -)")
_LAMBDA = re.compile(r"lambda (\S+): ([^\s,]+)")


def read_lambdas(path: Path) -> dict[str, Curve]:
    """Each objective's λ at the end of every epoch; of an epoch that was repeated, the later.

    Raises
    ------
    FileNotFoundError
        If there is no log.
    ValueError
        If a line is no epoch's; the message names it.
    """
    points: dict[str, dict[int, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        epoch = _EPOCH.match(line)
        if epoch is None:
            raise ValueError(
                f"{path}, line {number}: found {line[:40]!r}, expected an epoch. Take the line out."
            )
        for name, value in _LAMBDA.findall(line):
            points.setdefault(name, {})[int(epoch[1])] = float(value)
    return {name: sorted(curve.items()) for name, curve in points.items()}


def epochs_done(path: Path) -> int:
    """The last epoch in the log; 0 if there is none yet."""
    if not path.is_file():
        return 0
    return max(map(int, re.findall(_EPOCH, path.read_text(encoding="utf-8"))), default=0)
