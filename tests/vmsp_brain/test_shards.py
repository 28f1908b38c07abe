"""A clip in a shard: its path, its bytes, and none but its own."""

import zlib
from pathlib import Path

import pytest

from tests.helpers.corpus import write_clip
from vmsp_brain.audio import load_audio
from vmsp_brain.shards import ClipInShard, ShardError, file_of, name_of, opened
from vmsp_brain.use.recording import Recording


@pytest.fixture
def shard(tmp_path: Path) -> ClipInShard:
    """A clip that is also in ``x.mp3``, in the middle of what might be a parquet file."""
    write_clip(tmp_path / "x.mp3")
    audio = (tmp_path / "x.mp3").read_bytes()
    shard = tmp_path / "train-0.parquet"
    shard.write_bytes(b"PAR1" + audio + b"PAR1")
    return ClipInShard(str(shard), 3, 4, len(audio), zlib.crc32(audio), "x.mp3")


def test_a_path_leads_to_the_clip_and_back(shard):
    assert ClipInShard.at(str(shard)) == ClipInShard.at(Path(str(shard))) == shard
    assert (file_of(str(shard)), name_of(str(shard))) == (Path(shard.shard), "x.mp3")


@pytest.mark.parametrize(
    "path",
    [
        "fr/clips/x.mp3",
        "train.parquet",
        "train.parquet/x.mp3",
        "train.parquet/1-2-3/x.mp3",
        "train.parquet/1-2-3-0000000g/x.mp3",
        "train.parquet/1-2-3-00000000/folder/x.mp3",
        "train.csv/1-2-3-00000000/x.mp3",
    ],
)
def test_any_other_path_is_that_of_a_file(path):
    assert ClipInShard.at(path) is None
    assert (str(file_of(path)), name_of(path), opened(path)) == (path, path, path)


def test_it_is_heard_as_from_a_file(shard):
    file = Path(shard.shard).with_name("x.mp3")
    assert load_audio(str(shard)).equal(load_audio(str(file)))
    inside, outside = Recording(str(shard)), Recording(file)
    assert inside.seconds == outside.seconds
    assert (inside.levels == outside.levels).all()
    assert inside.read(0.1, 0.5).equal(outside.read(0.1, 0.5))


def test_other_bytes_are_not_taken_for_it(shard):
    whole = Path(shard.shard).read_bytes()
    named = r"train-0\.parquet: row 3, x\.mp3, is not the audio that was prepared"
    for other in (whole[:-100], b"", whole[:50] + b"\0" + whole[51:], b"?" + whole):
        Path(shard.shard).write_bytes(other)
        with pytest.raises(ShardError, match=named):
            load_audio(str(shard))


def test_a_shard_that_is_gone_is_named(shard):
    Path(shard.shard).unlink()
    with pytest.raises(ShardError, match=r"train-0\.parquet cannot be read for row 3, x\.mp3"):
        load_audio(str(shard))
    with pytest.raises(FileNotFoundError, match=r"x\.mp3: there is no such file"):
        Recording(str(shard))
