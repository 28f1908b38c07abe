"""Clips that lie in a corpus's shards: parquet files that hold encoded audio as it is.

Where such a clip is looks like a path that goes on into the shard::

    fr_en/train-00000-of-00002.parquet/18-4-35120-1a2b3c4d/common_voice_fr_17299384.mp3

It is row 18, the 35120 bytes from byte 4 on, whose CRC-32 is 1a2b3c4d. So any clip is read alone
and in any order, as a file is, and never taken for another one.
"""

import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

_FORM = re.compile(r"(.+\.parquet)/(\d+)-(\d+)-(\d+)-([0-9a-f]{8})/([^/]+)", re.DOTALL)


class ShardError(ValueError):
    """A shard does not hold what it should; the message says which, where, and what to do."""


@dataclass(frozen=True, slots=True)
class ClipInShard:
    """A clip's place.

    Arguments
    ---------
    shard : str
        The parquet file.
    row : int
        Of the shard; 1 is its first.
    start, length : int
        Of the encoded audio, in bytes.
    checksum : int
        The CRC-32 of the encoded audio.
    name : str
        What the clip's file is called elsewhere.

    Example
    -------
    >>> clip = ClipInShard("train-0.parquet", 18, 4, 35120, zlib.crc32(b"audio"), "x.mp3")
    >>> str(clip)
    'train-0.parquet/18-4-35120-187d3695/x.mp3'
    >>> ClipInShard.at(str(clip)) == clip
    True
    """

    shard: str
    row: int
    start: int
    length: int
    checksum: int
    name: str

    @classmethod
    def at(cls, path: str | Path) -> "ClipInShard | None":
        """The clip in a shard that a path leads to; None if it is that of a file."""
        found = _FORM.fullmatch(Path(path).as_posix())
        if not found:
            return None
        shard, row, start, length, checksum, name = found.groups()
        return cls(shard, int(row), int(start), int(length), int(checksum, 16), name)

    def __str__(self) -> str:
        place = f"{self.row}-{self.start}-{self.length}-{self.checksum:08x}"
        return f"{self.shard}/{place}/{self.name}"

    def read(self) -> bytes:
        """The encoded audio.

        Raises
        ------
        ShardError
            If the shard cannot be read, or has other bytes there.
        """
        try:
            with Path(self.shard).open("rb") as shard:
                shard.seek(self.start)
                audio = shard.read(self.length)
        except OSError as error:
            raise ShardError(
                f"{self.shard} cannot be read for row {self.row}, {self.name}: {error}. Put the "
                "shard back."
            ) from error
        if zlib.crc32(audio) != self.checksum:
            raise ShardError(
                f"{self.shard}: row {self.row}, {self.name}, is not the audio that was prepared: "
                "the shard was damaged or changed since. Put it back as it was; to read another "
                "one, remove the TSV files and manifests that were made of this one."
            )
        return audio


def file_of(path: str | Path) -> Path:
    """The file on the disk that holds a clip: its own, or its shard."""
    clip = ClipInShard.at(path)
    return Path(clip.shard if clip else path)


def name_of(path: str) -> str:
    """What a clip is called: its path, if that is a file's, else its name in the shard."""
    clip = ClipInShard.at(path)
    return clip.name if clip else path


def opened(path: str | Path) -> str | BytesIO:
    """What soundfile reads a clip from: the path, if that is a file's.

    Raises
    ------
    ShardError
        As `ClipInShard.read` does.
    """
    clip = ClipInShard.at(path)
    return BytesIO(clip.read()) if clip else str(path)
