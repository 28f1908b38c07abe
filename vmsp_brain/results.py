"""A test's results as files: the scores, and every objective's hypotheses beside the references."""

import json
from collections.abc import Mapping
from pathlib import Path

from vmsp_brain.metrics import Hypothesis


def write_results(
    folder: str | Path, report: Mapping, hypotheses: Mapping[str, list[Hypothesis]]
) -> None:
    """Write ``results.json`` and ``test/<objective>.tsv``.

    Arguments
    ---------
    folder : Path
        The run's output folder.
    report : dict
        From `vmsp_brain.metrics.results`.
    hypotheses : dict
        By objective.
    """
    folder = Path(folder)
    for name, made in hypotheses.items():
        path = folder / "test" / f"{name.replace('/', '_')}.tsv"
        path.parent.mkdir(exist_ok=True)
        lines = ["id\treference\thypothesis"]
        lines += [f"{item.id}\t{item.reference}\t{item.hypothesis}" for item in made]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial = folder / "results.json.partial"
    partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / "results.json")


def results_table(report: Mapping) -> str:
    """Test WER per language and BLEU per pair as a table for people.

    Arguments
    ---------
    report : dict
        From `vmsp_brain.metrics.results`.
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
