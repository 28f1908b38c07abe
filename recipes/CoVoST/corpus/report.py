"""What a preparation kept, what it left out, and why."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.clips import ADVICE, Clip
from corpus.tsv import CorpusError, Row

LISTED = 20
"""Faulty rows that an error message lists; the report has all."""


def report_of(rows: Sequence[Row], clips: Mapping[str, Clip]) -> dict[str, Any]:
    """What was kept, counted by language and split, and every row left out with its reason."""
    kept: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if not row.fault:
            split = kept.setdefault(row.language, {}).setdefault(
                row.split, {"utterances": 0, "hours": 0.0}
            )
            split["utterances"] += 1
            split["hours"] += clips[row.clip].duration / 3600
    rejected = [
        {
            "language": row.language,
            "split": row.split,
            "reason": row.fault,
            "path": row.path,
            "origin": row.origin,
        }
        for row in rows
        if row.fault
    ]
    return {"kept": kept, "rejected": rejected}


def print_report(report: Mapping[str, Any]) -> None:
    """Print the counts of `report_of`."""
    rejected = Counter(
        (item["language"], item["split"], item["reason"]) for item in report["rejected"]
    )
    for language, splits in report["kept"].items():
        kept = "   ".join(
            f"{split} {found['utterances']:,} ({found['hours']:.2f} h)"
            for split, found in sorted(splits.items(), key=lambda item: -item[1]["utterances"])
        )
        print(f"{language}: {kept}")
    for (language, split, reason), count in sorted(rejected.items()):
        print(f"{language}: {split}: {count:,} left out: {reason}")
    if rejected:
        print(advice(reason for _, _, reason in rejected), end="")
        print("Every row left out, with its file and line, is in rejected.json.")


def advice(faults: Iterable[str]) -> str:
    """A line for each of these reasons whose name does not tell what to do."""
    return "".join(f"{fault}: {ADVICE[fault]}.\n" for fault in sorted(ADVICE.keys() & set(faults)))


def stop_on_faulty_evaluation_rows(report: Mapping[str, Any], save_folder: Path) -> None:
    """Refuse dev and test rows that were left out, with the lines of the first ones.

    Raises
    ------
    CorpusError
        If there are any.
    """
    faulty = [item for item in report["rejected"] if item["split"] != "train"]
    if not faulty:
        return
    listed = [
        f"  {item['origin']}: {item['language']} {item['split']} {item['path']}: {item['reason']}"
        for item in faulty[:LISTED]
    ]
    if len(faulty) > LISTED:
        listed.append(f"  ... and {len(faulty) - LISTED} more")
    raise CorpusError(
        f"{len(faulty)} dev or test rows cannot be used, and leaving them out would change the "
        "score:\n" + "\n".join(listed) + f"\n{advice(item['reason'] for item in faulty)}"
        f"All are in {save_folder / 'rejected.json'}. Repair the corpus, or leave them "
        "out knowingly with drop_faulty_evaluation_rows."
    )
