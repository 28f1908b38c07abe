"""Scores as tables for people."""

from collections.abc import Mapping


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
            of_characters = report.get("wer_of_characters", []) if metric == "wer" else []
            lines += [
                f"{name:<12}{score:>8.2f}{'  of characters' if name in of_characters else ''}"
                for name, score in report[metric].items()
            ]
            lines.append(f"{'mean':<12}{report[f'{metric}_mean']:>8.2f}")
    if "bleu_signature" in report:
        lines.append(f"\nsacreBLEU {report['bleu_signature']}")
    return "\n".join(lines) + "\n"
