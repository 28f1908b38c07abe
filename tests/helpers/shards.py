"""Clips put into a shard without Arrow: what reads it looks at the clips' bytes alone."""

import csv
from pathlib import Path
from zlib import crc32

from vmsp_brain.shards import ClipInShard


def put_in_shard(manifest: Path, folder: Path) -> Path:
    """A copy of a manifest in this folder whose clips are in a shard beside it."""
    stored, rows = b"PAR1", []
    shard = folder / "clips.parquet"
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            audio = Path(row["wav"]).read_bytes()
            place = len(rows) + 1, len(stored), len(audio), crc32(audio)
            rows.append({**row, "wav": ClipInShard(str(shard), *place, Path(row["wav"]).name)})
            stored += audio
    shard.write_bytes(stored)
    with (folder / manifest.name).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder / manifest.name
