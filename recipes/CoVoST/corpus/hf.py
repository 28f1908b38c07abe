"""The copy of CoVoST 2 on the Hugging Face hub, unpacked to clips and TSV files.

The copy has a configuration for each pair, such as fr_en, with the columns client_id, file, audio,
sentence, translation and id, and the splits train, validation and test, as parquet. Its rows are
streamed to ``<language>/clips`` and to the TSV files that CoVoST's own splitting script makes, so
that preparation reads both ways to the data alike. Audio stays as it is encoded.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from corpus.resumable_tsv import ResumableTsv
from corpus.tsv import CorpusError
from vmsp_brain.data.manifests import SPLITS
from vmsp_brain.files import whole_file
from vmsp_brain.names import targets_by_language

HUB_NAME = "fixie-ai/covost2"
SPLIT_NAMES = {"train": "train", "dev": "validation", "test": "test"}
"""What the copy calls the splits."""

COLUMNS = ("client_id", "file", "audio", "sentence", "translation")
"""Those that are read."""

TSV_COLUMNS = ("path", "sentence", "translation", "client_id")
"""Those that are written, as CoVoST's own splitting script does."""

SAVE_EVERY = 200
"""Rows after which the position in the stream is saved; a killed run repeats at most these."""


def unpack_hf_copy(
    copy: str, data_folder: str | Path, languages: Sequence[str], pairs: Sequence[str]
) -> None:
    """Write the clips and TSV files of these languages, those aside that are there already.

    A killed run is finished by calling again. A language without a pair is read from the first of
    the copy's pairs that it is the source of.

    Arguments
    ---------
    copy : str
        A dataset's name on the hub, or a local folder with a folder of parquet files per pair.
    data_folder : Path
        The corpus to make or to go on with.
    languages, pairs : list of str
        As `prepare_covost` takes them.

    Raises
    ------
    CorpusError
        If the copy lacks a pair, a split or a column, names a clip so that it would leave the clips
        folder, or has another clip than the one that is there; if `datasets` is not installed.
    """
    data_folder = Path(data_folder)
    for source, target in wanted_pairs(copy, data_folder, languages, pairs):
        for split in SPLITS:
            _unpack_split(copy, data_folder, source, target, split)


def wanted_pairs(
    copy: str, data_folder: Path, languages: Sequence[str], pairs: Sequence[str]
) -> list[tuple[str, str]]:
    """Source and target of what is to be read of the copy, see `unpack_hf_copy`."""
    targets = targets_by_language(languages, pairs)
    available = _configurations(copy)
    wanted = []
    for source in languages:
        of_source = [name for name in available if name.startswith(f"{source}_")]
        any_target = (of_source or [f"{source}_*"])[0].partition("_")[2]
        wanted += [(source, target) for target in targets[source] or [any_target]]
    for source, target in wanted:
        if f"{source}_{target}" not in available:
            raise CorpusError(
                f"{copy} has no configuration {source}_{target}; it has "
                f"{', '.join(available) or 'none'}. Remove the pair or the language."
            )
        joined = [
            data_folder / folder / f"covost_v2.{source}_{target}.tsv" for folder in ("", source)
        ]
        for path in filter(Path.exists, joined):
            raise CorpusError(
                f"{path} is there already and would be read in place of the copy's files. Give "
                "another data_folder, or leave out --source."
            )
    return wanted


def _configurations(copy: str) -> list[str]:
    if Path(copy).is_dir():
        return sorted(path.name for path in Path(copy).iterdir() if path.is_dir())
    datasets = import_datasets()
    try:
        return sorted(datasets.get_dataset_config_names(copy))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(
            f"{copy} is no folder here, and no dataset that can be reached on the Hugging Face hub "
            f"({error}). Give one or the other as --hf_dataset."
        ) from error


def import_datasets() -> Any:
    """The package, which only these commands need.

    Raises
    ------
    CorpusError
        If it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            f"--source hf and shards need the package datasets ({error}): "
            "pip install -r requirements-hf.txt"
        ) from error
    return datasets


def tsv_of(data_folder: Path, source: str, target: str, split: str) -> Path:
    """Where the TSV file of a split goes."""
    return data_folder / source / f"covost_v2.{source}_{target}.{split}.tsv"


def _unpack_split(copy: str, data_folder: Path, source: str, target: str, split: str) -> None:
    tsv = tsv_of(data_folder, source, target, split)
    if tsv.exists():
        print(f"{tsv}: unpacked already, kept.")
        return
    clips = data_folder / source / "clips"
    if (clips / f"{source}_{target}").is_dir():
        raise CorpusError(
            f"{clips} holds the copy's shards, by --source shards. Give that again, or another "
            "data_folder."
        )
    clips.mkdir(parents=True, exist_ok=True)
    stream = _stream(copy, f"{source}_{target}", split)
    with ResumableTsv(tsv, copy, TSV_COLUMNS) as table:
        if table.position:
            stream.load_state_dict(table.position)
        for row in tqdm(_rows(stream, copy), tsv.stem, initial=table.rows, unit="clip"):
            where = f"{copy}: {source}_{target}, {split}, row {table.rows + 1}"
            name = clip_name(row["file"], where)
            if row["audio"] and row["audio"]["bytes"]:  # else preparation says the clip is missing
                _write_clip(clips / name, row["audio"]["bytes"], where)
            table.write((name, row["sentence"], row["translation"], row["client_id"]))
            if table.rows % SAVE_EVERY == 0:
                table.save(stream.state_dict())
    table.finish()


def _stream(copy: str, configuration: str, split: str) -> Any:
    """The rows of a split as a ``datasets.IterableDataset`` whose audio is bytes."""
    datasets = import_datasets()
    local = Path(copy) / configuration
    where = (str(local),) if local.is_dir() else (copy, configuration)
    try:
        stream = datasets.load_dataset(*where, split=SPLIT_NAMES[split], streaming=True)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(
            f"{copy}: cannot read {SPLIT_NAMES[split]} of {configuration}: {error}"
        ) from error
    missing = [column for column in COLUMNS if column not in (stream.column_names or ())]
    if missing:
        raise CorpusError(
            f"{copy}: {configuration} has no column {', '.join(missing)}; it has "
            f"{', '.join(stream.column_names or ())}. Is it CoVoST 2 with audio?"
        )
    return stream.cast_column("audio", datasets.Audio(decode=False))


def _rows(stream: Any, copy: str) -> Iterator[dict[str, Any]]:
    try:
        yield from stream
    except ValueError as error:  # Arrow's errors are
        raise CorpusError(
            f"{copy}: cannot be read on: {error}. Get its file anew, then run the same command "
            "again to go on."
        ) from error


def clip_name(file: str | None, where: str) -> str:
    """The last part of a path on the machine where the copy was made, if nothing else is in it.

    Raises
    ------
    CorpusError
        If it is none, or something else is.
    """
    path = PurePosixPath(file or "")
    if ".." in path.parts or path.name.startswith(".") or not path.name or "\\" in str(path):
        raise CorpusError(
            f"{where}: the file name {file!r} could lead out of the clips folder. Do not trust "
            "this copy."
        )
    return path.name


def _write_clip(clip: Path, audio: bytes, where: str) -> None:
    if clip.exists():
        if clip.read_bytes() != audio:
            raise CorpusError(
                f"{where}: {clip} is there with other audio. It is left as it is; move it away, or "
                "give another data_folder."
            )
        return
    with whole_file(clip, sync=False) as partial:
        partial.write_bytes(audio)
