"""A run as its folder records it: scores, hypotheses, curves, similarities of gradients."""

import re
from dataclasses import dataclass
from pathlib import Path

import ruamel.yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vmsp_brain.method.conflict import Cosines, read_cosines
from vmsp_brain.run.results import read_hypotheses, read_report
from vmsp_brain.run.scores import Hypothesis

Curve = list[tuple[int, float]]
"""Points (step or epoch, value)."""

_PLACE = re.compile(r"\d\d_")  # of a group on TensorBoard's page, see `vmsp_brain.watch.monitor`


@dataclass
class RecordedRun:
    """What a run's output folder holds.

    Arguments
    ---------
    folder : Path
        The folder.
    order : str
        The experiment's key ``order``.
    report : dict
        Test scores, as from `vmsp_brain.run.scores.results`.
    hypotheses : dict
        Of the test set, by objective that was scored, in the order of the report.
    curves : dict
        `Curve` by tag.
    cosines : dict
        Mean similarities of gradients by epoch.
    """

    folder: Path
    order: str
    report: dict
    hypotheses: dict[str, list[Hypothesis]]
    curves: dict[str, Curve]
    cosines: dict[int, Cosines]


def read_run(folder: str | Path) -> RecordedRun:
    """Read a run that was trained and tested.

    Raises
    ------
    FileNotFoundError
        If something is missing; the message says what.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such run folder.")
    report, made = read_report(folder), read_hypotheses(folder)
    scored = [f"asr/{language}" for language in report.get("wer", {})]
    scored += [f"st/{pair}" for pair in report.get("bleu", {})]
    return RecordedRun(
        folder,
        read_order(folder),
        report,
        {name: made[name] for name in scored},
        read_curves(folder),
        read_conflicts(folder),
    )


def read_order(run_folder: str | Path) -> str:
    """The key ``order`` of the run's ``hyperparams.yaml``, without building what is in it."""
    text = (Path(run_folder) / "hyperparams.yaml").read_text(encoding="utf-8")
    return str(ruamel.yaml.YAML().load(text)["order"])


def read_curves(run_folder: str | Path) -> dict[str, Curve]:
    """All scalars that a run wrote for TensorBoard.

    Where a resumed run repeated steps, the later value counts.

    Arguments
    ---------
    run_folder : Path
        The run's output folder.

    Returns
    -------
    dict
        `Curve` by tag, such as ``WER_valid/fr``, without the number that orders TensorBoard's page.

    Raises
    ------
    FileNotFoundError
        If the folder has no TensorBoard events.
    """
    files = sorted(Path(run_folder).glob("tensorboard/events.*"), key=lambda f: f.stat().st_mtime)
    points: dict[str, dict[int, float]] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            curve = points.setdefault(_PLACE.sub("", tag, count=1), {})
            curve.update({event.step: event.value for event in events.Scalars(tag)})
    if not points:
        raise FileNotFoundError(
            f"{run_folder} has no TensorBoard scalars in its folder tensorboard. Is it the output "
            "folder of a run that trained?"
        )
    return {tag: sorted(curve.items()) for tag, curve in points.items()}


def read_conflicts(run_folder: str | Path) -> dict[int, Cosines]:
    """Mean similarities of gradients by epoch; empty if none were measured."""
    paths = sorted(Path(run_folder).glob("conflicts/epoch_*.csv"))
    return {int(path.stem.rpartition("_")[2]): read_cosines(path) for path in paths}
