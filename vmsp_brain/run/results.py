"""A test's results as files: the scores, and every objective's hypotheses beside the references."""

import json
from collections.abc import Mapping
from pathlib import Path

from vmsp_brain.files import write_whole
from vmsp_brain.run.scores import Hypothesis


def write_results(
    folder: str | Path, report: Mapping, hypotheses: Mapping[str, list[Hypothesis]]
) -> None:
    """Write ``results.json`` and ``test/<objective>.tsv``.

    Arguments
    ---------
    folder : Path
        The run's output folder.
    report : dict
        From `vmsp_brain.run.scores.results`.
    hypotheses : dict
        By objective.
    """
    folder = Path(folder)
    for name, made in hypotheses.items():
        lines = ["id\treference\thypothesis"]
        lines += [f"{item.id}\t{item.reference}\t{item.hypothesis}" for item in made]
        path = folder / "test" / f"{name.replace('/', '_')}.tsv"
        write_whole(path, "\n".join(lines) + "\n")
    write_whole(folder / "results.json", json.dumps(report, indent=2) + "\n")


def read_report(folder: str | Path) -> dict:
    """Read ``results.json`` of a run's output folder.

    Raises
    ------
    FileNotFoundError
        If the run was not tested.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: was the run tested? Let train.py end, or run evaluate.py on it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def read_hypotheses(folder: str | Path) -> dict[str, list[Hypothesis]]:
    """Read ``test/<objective>.tsv`` of a run's output folder.

    Returns
    -------
    dict
        `Hypothesis` list by objective, in the order of the files.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line has not three columns; the message names file and line.
    """
    paths = sorted((Path(folder) / "test").glob("*.tsv"))
    if not paths:
        raise FileNotFoundError(
            f"{Path(folder) / 'test'} holds no hypotheses: was the run tested? Let train.py end, "
            "or run evaluate.py on it."
        )
    return {path.stem.replace("_", "/", 1): _read_objective(path) for path in paths}


def _read_objective(path: Path) -> list[Hypothesis]:
    made = []
    _, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    for number, line in enumerate(lines, start=2):
        columns = line.split("\t")
        if len(columns) != 3:
            raise ValueError(
                f"{path}, line {number}: found {len(columns)} columns, expected id, reference and "
                "hypothesis. Run evaluate.py again to write the file anew."
            )
        made.append(Hypothesis(*columns))
    return made


def results_table(report: Mapping) -> str:
    """Test WER per language and BLEU per pair as a table for people.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.run.scores.results`.
    """
    lines = []
    for metric, title in (("wer", "WER % (lower is better)"), ("bleu", "BLEU (higher is better)")):
        if metric in report:
            lines += ["", f"Test {title}", "-" * 30]
            lines += [f"{name:<12}{score:>8.2f}" for name, score in report[metric].items()]
            lines.append(f"{'mean':<12}{report[f'{metric}_mean']:>8.2f}")
    if "bleu_signature" in report:
        lines.append(f"\nsacreBLEU {report['bleu_signature']}")
    return "\n".join(lines) + "\n"
