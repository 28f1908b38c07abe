"""A run as its folder records it: scores, hypotheses, curves, similarities of gradients."""

from dataclasses import dataclass
from pathlib import Path

from vmsp_brain.method.conflict import Similarities
from vmsp_brain.run.curves import Curve
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.scores import Hypothesis


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
    conflicts : dict
        Similarities of gradients by epoch.
    """

    folder: Path
    order: str
    report: dict
    hypotheses: dict[str, list[Hypothesis]]
    curves: dict[str, Curve]
    conflicts: dict[int, Similarities]


def read_run(folder: str | Path) -> RecordedRun:
    """Read a run that was trained and tested.

    Raises
    ------
    FileNotFoundError
        If something is missing; the message says what.
    ValueError
        If a file is damaged; the message names it.
    """
    run = RunFolder(folder)
    if not run.folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such run folder.")
    report = run.read_report()
    scored = [f"asr/{language}" for language in report.get("wer", {})]
    scored += [f"st/{pair}" for pair in report.get("bleu", {})]
    return RecordedRun(
        run.folder,
        str(run.settings["order"]),
        report,
        {name: run.read_hypotheses(name) for name in scored},
        run.read_curves(),
        run.read_conflicts(),
    )
