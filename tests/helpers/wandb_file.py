"""The file in which Weights & Biases keeps a run that is offline: LevelDB's log of records."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 2**15
HEAD = 7
"""Bytes of the file's head, and of each record's: checksum (4), length (2), kind (1)."""
LAST = (1, 4)
"""Kinds of a record that is whole, and of the last part of one."""


def read_records(path: Path) -> "Iterator[Record]":
    """The file's records in their order."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = path.read_bytes(), HEAD, b""
    assert content[:4] == b":W&B"
    while place + HEAD <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEAD:  # no head fits: the block is filled up
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEAD])
        place += HEAD
        parts += content[place : place + length]
        place += length
        if kind in LAST:
            yield Record.FromString(parts)
            parts = b""
