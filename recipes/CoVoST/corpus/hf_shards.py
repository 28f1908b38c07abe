"""The copy of CoVoST 2 on the Hugging Face hub, whose clips stay in its parquet shards.

TSV files as CoVoST's own splitting script makes them, whose paths lead into the shards (see
`vmsp_brain.shards`), are all that is written for a local copy that holds audio as it is encoded, as
`datasets` writes it since 2026. The shards of another copy, or of the hub's, are written anew in
that form first, as few as they are: in a compressed page no clip can be read by itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from tqdm import tqdm

from corpus.hf import (
    COLUMNS,
    SPLIT_NAMES,
    TSV_COLUMNS,
    clip_name,
    import_datasets,
    tsv_of,
    wanted_pairs,
)
from corpus.resumable_tsv import ResumableTsv
from corpus.tsv import CorpusError, read_tsv
from vmsp_brain.data.manifests import SPLITS
from vmsp_brain.files import whole_file
from vmsp_brain.shards import ClipInShard

AUDIO = "audio.bytes"
"""The column of the clips, as parquet calls it."""

LEAVES = [AUDIO if column == "audio" else column for column in COLUMNS]
"""All that are read."""

PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}
"""Encodings with which it lies as it is; all but the first are of what is null."""

ROWS_AT_ONCE = 100
"""That are in memory while a shard is read for its clips' places."""

Key = tuple[str, str, str]
"""Source, target, split."""


def index_hf_copy(
    copy: str, data_folder: str | Path, languages: Sequence[str], pairs: Sequence[str]
) -> None:
    """Write the TSV files of these languages, and shards where they cannot stay as they are.

    What is there already is kept: a killed run is finished by calling again, and repeats at most a
    shard. ``<language>/clips`` becomes a link to a copy that stays, or holds the new shards.

    Arguments
    ---------
    copy, data_folder, languages, pairs
        As `corpus.hf.unpack_hf_copy` takes them.

    Raises
    ------
    CorpusError
        If the copy lacks a pair, a split or a column, or a shard is damaged; if a clip's name is
        none, or two clips of a language have it; if other clips are there; if `datasets` is not
        installed.
    """
    data_folder = Path(data_folder)
    wanted = wanted_pairs(copy, data_folder, languages, pairs)
    for language in dict.fromkeys(source for source, _ in wanted):
        shards: dict[Key, list[str]] = {}
        for pair in wanted:
            shards |= _shards_of(copy, *pair) if pair[0] == language else {}
        clips_folder = data_folder / language / "clips"
        ready = _linked(copy, clips_folder, shards) or _written_anew(clips_folder, shards)
        known: dict[str, ClipInShard] = {}
        for key, files in ready.items():
            _index_split(tsv_of(data_folder, *key), files, clips_folder, known)


def _shards_of(copy: str, source: str, target: str) -> dict[Key, list[str]]:
    """The paths or addresses of a pair's shards, in their order."""
    datasets = import_datasets()
    configuration = f"{source}_{target}"
    local = Path(copy) / configuration
    where = (str(local),) if local.is_dir() else (copy, configuration)
    try:
        files = datasets.load_dataset_builder(*where).config.data_files or {}
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"{copy}: cannot read {configuration}: {error}") from error
    for name in SPLIT_NAMES.values():
        if not files.get(name):
            raise CorpusError(
                f"{copy}: cannot read {name} of {configuration}; it has "
                f"{', '.join(map(str, files)) or 'nothing'}."
            )
    return {(source, target, split): list(map(str, files[SPLIT_NAMES[split]])) for split in SPLITS}


def _linked(copy: str, clips_folder: Path, shards: dict[Key, list[str]]) -> dict[Key, list[Path]]:
    """The copy's own shards below the clips folder, a link to it; none if they cannot stay."""
    root = Path(copy).resolve()
    stays = root.is_dir() and all(
        _can_stay(Path(file), root) for files in shards.values() for file in files
    )
    if stays and not clips_folder.exists():
        clips_folder.parent.mkdir(parents=True, exist_ok=True)
        clips_folder.symlink_to(root, target_is_directory=True)
    if not clips_folder.is_symlink():
        return {}
    if not stays or clips_folder.resolve() != root:
        raise CorpusError(
            f"{clips_folder} is a link to {clips_folder.resolve()}: no shards made of {copy} are "
            "put there. Give another data_folder, or remove the link and the TSV files beside it."
        )
    return {
        key: [clips_folder / Path(file).resolve().relative_to(root) for file in files]
        for key, files in shards.items()
    }


def _can_stay(file: Path, root: Path) -> bool:
    """Whether a shard is in the copy's folder, not linked there, and its audio lies as it is."""
    if file.suffix != ".parquet" or not file.resolve().is_relative_to(root):
        return False
    shard = _open(file)
    columns = [_audio_column(shard, group) for group in range(shard.num_row_groups)]
    return all(
        column.compression == "UNCOMPRESSED" and {*column.encodings} <= PLAIN for column in columns
    )


def _open(shard: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile`` that has all columns."""
    from pyarrow.parquet import ParquetFile

    try:
        opened = ParquetFile(shard)
    except (OSError, ValueError) as error:  # Arrow's errors are
        raise CorpusError(f"{shard}: cannot be read: {error}. Get the file anew.") from error
    found = [opened.schema.column(number).path for number in range(len(opened.schema))]
    missing = [column for column in LEAVES if column not in found]
    if missing:
        raise CorpusError(
            f"{shard} has no column {', '.join(missing)}; it has {', '.join(found)}. Is it CoVoST "
            "2 with audio?"
        )
    return opened


def _audio_column(shard: Any, group: int) -> Any:
    """Where the clips of a row group are, and how they are stored."""
    row_group = shard.metadata.row_group(group)
    columns = map(row_group.column, range(row_group.num_columns))
    return next(column for column in columns if column.path_in_schema == AUDIO)


def _written_anew(clips_folder: Path, shards: dict[Key, list[str]]) -> dict[Key, list[Path]]:
    """Shards in the clips folder with the rows of these, and audio as it is; finished ones stay."""
    ready = {}
    todo = []
    for (source, target, split), files in shards.items():
        folder, total = clips_folder / f"{source}_{target}", f"{len(files):05d}"
        names = [f"{split}-{number:05d}-of-{total}.parquet" for number in range(len(files))]
        ready[source, target, split] = [folder / name for name in names]
        todo += zip(files, ready[source, target, split], strict=True)
    todo = [(file, plain) for file, plain in todo if not plain.exists()]
    for file, plain in tqdm(todo, "shards", disable=not todo):
        _write_plain(file, plain)
    return ready


def _write_plain(file: str, plain: Path) -> None:
    """Write a shard's rows, row group by row group, to one without compression or dictionaries."""
    import fsspec
    from pyarrow import parquet

    try:
        with whole_file(plain) as partial, fsspec.open(file) as opened:
            shard = parquet.ParquetFile(opened)
            form = {"compression": "none", "use_dictionary": False}
            with parquet.ParquetWriter(partial, shard.schema_arrow, **form) as writer:
                for group in range(shard.num_row_groups):
                    writer.write_table(shard.read_row_group(group))
    except (OSError, ValueError) as error:  # Arrow's errors are
        raise CorpusError(
            f"{file}: cannot be read on, or not be written to {plain}: {error}. Get the file anew, "
            "or make room, then run the same command again to go on."
        ) from error


def _index_split(
    tsv: Path, shards: Sequence[Path], clips_folder: Path, known: dict[str, ClipInShard]
) -> None:
    """Write a TSV file whose paths lead to the clips, and add these to those known by name.

    A clip that is known from another pair is that one here too, so that both are one utterance.
    """
    if tsv.exists():
        print(f"{tsv}: made already, kept.")
        paths = [record["path"] for _, record in read_tsv(tsv, TSV_COLUMNS)]
        known.update({clip.name: clip for clip in map(ClipInShard.at, paths) if clip})
        return
    with ResumableTsv(tsv, "", TSV_COLUMNS) as table:
        for shard in tqdm(shards, tsv.stem, unit="shard"):
            for name, clip, row in _rows(shard, clips_folder):
                before = known.get(name)
                if before and clip and _content(before) != _content(clip):
                    raise CorpusError(
                        f"{shard}, row {clip.row}: {name} is other audio than in {before.shard}, "
                        f"row {before.row}. Get the files anew."
                    )
                if clip:
                    known.setdefault(name, clip)
                path = str(known.get(name, name))  # preparation says that the latter is missing
                table.write((path, row["sentence"], row["translation"], row["client_id"]))
    table.finish()


def _content(clip: ClipInShard) -> tuple[int, int]:
    return clip.length, clip.checksum


def _rows(
    shard: Path, clips_folder: Path
) -> Iterator[tuple[str, ClipInShard | None, dict[str, Any]]]:
    """The name of each row's clip, its place if it has audio, and the row."""
    opened = _open(shard)
    relative = shard.relative_to(clips_folder).as_posix()
    number = 0
    for group in range(opened.num_row_groups):
        for row, audio, start in _rows_of_group(opened, group, shard):
            number += 1
            name = clip_name(row["file"], f"{shard}, row {number}")
            clip = ClipInShard(relative, number, start, len(audio), crc32(audio), name)
            yield name, clip if audio else None, row


def _rows_of_group(
    opened: Any, group: int, shard: Path
) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """Each row, its audio if any, and the byte of the shard at which that starts."""
    column, place = _audio_column(opened, group), 0
    try:
        with shard.open("rb") as file:
            start = file.seek(column.data_page_offset)
            stored = file.read(column.total_compressed_size)
        for batch in opened.iter_batches(ROWS_AT_ONCE, [group], LEAVES):
            for row in batch.to_pylist():
                audio = (row["audio"] or {}).get("bytes") or b""
                place = stored.index(audio, place)  # one row's is after the one's before
                yield row, audio, start + place
                place += len(audio)
    except (OSError, ValueError) as error:  # Arrow's errors are
        raise CorpusError(
            f"{shard}: cannot be read in row group {group}: {error}. Get the file anew, then run "
            "the same command again."
        ) from error
