#!/usr/bin/env python3
"""What it costs to leave clips in parquet shards: time, bytes that are read, memory.

    python -m tests.benchmarks.shards

The first part reads clips of five seconds in random order: mp3 files, the same in a shard whose
audio lies as it is, and in shards whose pages are compressed, where a clip costs its row group. The
second leads a corpus of tiny clips from the Hugging Face copy's form to its TSV files, its
manifests and an epoch's batches, each in a process of its own. Memory is a process's peak, with
PyTorch, SpeechBrain and Arrow in it.
"""

import argparse
import io
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from itertools import cycle
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import soundfile
import torch
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "CoVoST"))

from speechbrain.dataio.dataloader import make_dataloader

from corpus.hf_shards import index_hf_copy
from corpus.prepare import prepare_covost
from tests.benchmarks.sampler import settings
from tests.benchmarks.step_cost import peak_memory
from vmsp_brain.audio import load_audio, mono_at_model_rate
from vmsp_brain.data.loading import load_data
from vmsp_brain.shards import ClipInShard

ROWS_PER_SHARD = 10_000
ROW_GROUP = 1000
PLAIN = {"compression": "none", "use_dictionary": False, "row_group_size": ROW_GROUP}
"""As `datasets` writes audio."""

SCHEMA = pa.schema(
    {
        "client_id": pa.string(),
        "file": pa.string(),
        "audio": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "sentence": pa.string(),
        "translation": pa.string(),
        "id": pa.string(),
    }
)


def main() -> None:
    """Read the command line, measure, print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=1000, help="of the first part, five seconds")
    parser.add_argument("--rows", type=int, default=200_000, help="of the second part")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reading = _alone(measure_reading, Path(folder), arguments.clips)["result"]
    with tempfile.TemporaryDirectory() as folder:
        corpus = measure_corpus(Path(folder), arguments.rows)
    print(json.dumps({**vars(arguments), "reading": reading, "corpus": corpus}, indent=1))


def mp3(seconds: float, seed: int, rate: int) -> bytes:
    """A tone in noise, encoded."""
    rng = np.random.default_rng(seed)
    moments = np.arange(round(rate * seconds)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (200 + 9 * seed) * moments)
    wave += 0.05 * rng.standard_normal(len(moments))
    encoded = io.BytesIO()
    soundfile.write(encoded, wave.astype(np.float32), rate, format="MP3")
    return encoded.getvalue()


def rows(clips: Sequence[bytes], first: int, number: int) -> pa.Table:
    """Rows of the copy, with these clips in turn."""
    found = [
        {
            "client_id": f"{row % 4000:0128x}",
            "file": f"common_voice_en_{17_000_000 + row}.mp3",
            "audio": {"bytes": audio, "path": None},
            "sentence": f"sentence {row} says this and that and something else",
            "translation": f"Satz {row} sagt dies und das und noch etwas",
            "id": str(row),
        }
        for row, audio in zip(range(first, first + number), cycle(clips), strict=False)
    ]
    return pa.Table.from_pylist(found, SCHEMA)


# ------------------------------------------------------------------ one clip


def measure_reading(folder: Path, number: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds and bytes that one clip costs, in random order."""
    clips = [mp3(5.0, seed, 48_000) for seed in range(20)]
    clips = [clip + random.Random(n).randbytes(8) for n, clip in zip(range(number), cycle(clips))]
    table = rows(clips, 0, number)
    for n, clip in enumerate(clips):
        (folder / f"{n}.mp3").write_bytes(clip)
    parquet.write_table(table, folder / "plain.parquet", **PLAIN)
    stored = (folder / "plain.parquet").read_bytes()
    places = [(stored.index(clip), len(clip), crc32(clip)) for clip in clips]
    inside = [ClipInShard(str(folder / "plain.parquet"), 1, *place, "x.mp3") for place in places]
    mean = sum(map(len, clips)) / number
    found = {
        "file": _cost(lambda n: load_audio(str(folder / f"{n}.mp3")), number, mean),
        "shard": _cost(lambda n: load_audio(str(inside[n])), number, mean),
    }
    for size in (100, 1000):
        path = folder / f"compressed_{size}.parquet"
        parquet.write_table(table, path, row_group_size=size)
        group_bytes = parquet.read_metadata(path).row_group(0).column(2).total_compressed_size
        found[f"compressed, {size} rows"] = _cost(
            lambda n, path=path, size=size: _of_row_group(path, n, size), number // 10, group_bytes
        )
    return found


def _of_row_group(path: Path, number: int, size: int) -> None:
    group = parquet.ParquetFile(path).read_row_group(
        number // size, columns=["audio.bytes"], use_threads=False
    )
    audio = group["audio"][number % size]["bytes"].as_py()
    samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32", always_2d=True)
    mono_at_model_rate(torch.from_numpy(samples.T), rate)


def _cost(read: Callable[[int], object], number: int, read_bytes: float) -> dict[str, float]:
    order = random.Random(0).sample(range(number), number)
    read(0)
    start = time.process_time()
    for n in order:
        read(n)
    milliseconds = 1000 * (time.process_time() - start) / number
    return {"cpu_ms": milliseconds, "bytes": read_bytes}


# ------------------------------------------------------------------ a corpus


def measure_corpus(folder: Path, number: int) -> dict[str, dict[str, float]]:
    """CPU seconds and peak megabytes from the copy to the end of an epoch."""
    write_copy(folder / "copy" / "en_de", number)
    _alone(write_copy, folder / "copy" / "en_de", number)
    return {stage.__name__: _alone(stage, folder) for stage in (imports, index, prepare, epoch)}


def write_copy(folder: Path, number: int) -> None:
    """Splits of this many training rows, and ten others."""
    clips = [mp3(0.1, seed, 16_000) for seed in range(64)]
    for split, size in {"train": number, "validation": 10, "test": 10}.items():
        starts = range(0, size, ROWS_PER_SHARD)
        for shard, start in enumerate(starts):
            path = folder / f"{split}-{shard:05d}-of-{len(starts):05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            first = start + {"train": 0, "validation": 10_000_000, "test": 20_000_000}[split]
            table = rows(clips, first, min(ROWS_PER_SHARD, size - start))
            parquet.write_table(table, path, **PLAIN)


def _alone(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What a call in a process of its own gives and costs; a process starts with its parent's peak,
    which is that of the imports as long as it does nothing itself.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, *arguments).result()


def _measured(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    torch.set_num_threads(1)
    start = time.process_time()
    with redirect_stdout(sys.stderr):  # what is printed is not the figures
        result = function(*arguments)
    seconds = time.process_time() - start
    return {"result": result, "cpu_seconds": seconds, "peak_mb": peak_memory() / 2**20}


def imports(folder: Path) -> None:
    """Nothing else."""


def index(folder: Path) -> None:
    """TSV files of the copy."""
    index_hf_copy(str(folder / "copy"), folder / "data", ["en"], ["en-de"])


def prepare(folder: Path) -> None:
    """Manifests; every clip is decoded."""
    prepare_covost(folder / "data", folder / "manifests", ["en"], ["en-de"], min_duration=0.0)


def epoch(folder: Path) -> None:
    """Read all audio of an epoch, and see that each utterance is in it once."""
    hparams = settings(folder / "data", folder / "manifests", ["en"])
    hparams |= {"dynamic_batching": False, "ssl_batch_size": 1}
    train = load_data(hparams, tokenizers={})["train"]
    read = Counter(_english(make_dataloader(train.dataset, **train.loader_kwargs)))
    assert set(read.values()) == {1}
    assert len(read) == len(train.dataset.sources["en"])


def _english(batches: Any) -> Iterator[str]:
    for batch in batches:
        for draw in batch.draws:
            yield from draw["en"].id


if __name__ == "__main__":
    main()
