"""Reading the TSV files of CoVoST 2 and Common Voice: which clip says what, in which split.

Both forms of CoVoST's files are read: ``covost_v2.<src>_<tgt>.tsv`` (path, translation, split),
joined with Common Voice's ``validated.tsv`` on the path, and the files that CoVoST's own splitting
script makes, ``covost_v2.<src>_<tgt>.<split>.tsv`` (path, sentence, translation, client_id).
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vmsp_brain.data.manifests import SPLITS

SPLIT_OF_LABEL = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
"""What CoVoST's ``split`` column says; it has other values, of rows that no split uses."""

UNKNOWN_SPLIT = "unknown"


class CorpusError(ValueError):
    """The corpus on disk is not as it should be; the message says where, how, and what to do."""


@dataclass
class Row:
    """One clip of a split.

    Arguments
    ---------
    language, split : str
        Where it belongs; the split of an unreadable row is ``unknown``.
    path : str
        The clip's file name as the TSV gives it.
    sentence, speaker : str
        From Common Voice.
    translations : dict
        By target language.
    origin : str
        File and line.
    fault : str
        Why the row cannot be used, empty if it can.
    """

    language: str
    split: str
    path: str
    origin: str
    sentence: str = ""
    speaker: str = ""
    translations: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    @property
    def clip(self) -> str:
        """Where its clip is in the corpus; all rows of a clip have it in common."""
        return f"{self.language}/clips/{self.path}"


@dataclass
class Source:
    """The files that hold one language's rows.

    Arguments
    ---------
    language : str
        The language that is spoken.
    targets : dict
        For each target language, its files by split; the key ``all`` stands for a file with a
        ``split`` column. A target of "" means rows without a translation.
    """

    language: str
    targets: dict[str, dict[str, Path]]

    @property
    def files(self) -> list[Path]:
        """All files, `validated.tsv` aside."""
        return [path for files in self.targets.values() for path in files.values()]


@dataclass
class Reading:
    """What a language's files hold.

    Arguments
    ---------
    rows : list of Row
        Those that belong to a split, faulty ones marked.
    notes : list of str
        What else was found, counted: rows of other labels, rows that are there twice.
    """

    rows: list[Row]
    notes: list[str]


def find_source(data_folder: Path, language: str, targets: Sequence[str]) -> Source:
    """Find a language's files.

    A language without a requested pair is read without translations, from any of its pairs' files,
    else from Common Voice's own train, dev and test.tsv.

    Raises
    ------
    CorpusError
        If there are none; the message lists the places looked at and the pairs found.
    """
    if targets:
        found = {target: _pair_files(data_folder, language, target) for target in targets}
        return Source(language, found)
    for target in _targets_on_disk(data_folder, language):
        return Source(language, {"": _pair_files(data_folder, language, target)})
    common_voice = {split: data_folder / language / f"{split}.tsv" for split in SPLITS}
    missing = [str(path) for path in common_voice.values() if not path.is_file()]
    if missing:
        raise CorpusError(
            f"{language}: found no covost_v2.{language}_*.tsv in {data_folder / language} or "
            f"{data_folder}, and not all of Common Voice's own splits either: missing "
            f"{', '.join(missing)}. Put one of them there, or remove {language} from languages."
        )
    return Source(language, {"": common_voice})


def read_rows(data_folder: Path, source: Source) -> Reading:
    """All rows of a language that belong to a split.

    The rows of a clip with several translations become one.
    """
    language = source.language
    validated = None
    rows: dict[str, Row] = {}
    unreadable = []
    unused: Counter[tuple[str, str]] = Counter()
    for target, files in source.targets.items():
        seen = set()
        for split, path in files.items():
            for row in _read_file(language, split, path, target):
                if row.fault:
                    unreadable.append(row)
                    continue
                if row.split not in SPLITS:
                    unused[path.name, row.split] += 1
                    continue
                if split == "all":
                    validated = validated or _Validated(data_folder / language / "validated.tsv")
                    validated.join(row)
                if row.path in seen:
                    row.fault = "duplicate"
                    unreadable.append(row)
                    continue
                seen.add(row.path)
                _merge(rows, row)
    notes = [
        f"{language}: {name}: {count:,} rows labelled {label!r}, which no split uses"
        for (name, label), count in sorted(unused.items())
    ]
    if validated and validated.repeated:
        notes.append(f"{language}: validated.tsv: {validated.repeated:,} rows are there twice")
    return Reading([*rows.values(), *unreadable], notes)


def _merge(rows: dict[str, Row], row: Row) -> None:
    first = rows.setdefault(row.path, row)
    if first is not row:
        first.translations.update(row.translations)
        if first.split != row.split:
            first.fault, first.origin = "two_splits", f"{first.origin} and {row.origin}"
            first.split = row.split if first.split == "train" else first.split


def _read_file(language: str, split: str, path: Path, target: str) -> Iterator[Row]:
    columns = ["path", "translation", "split"] if split == "all" else ["path", "sentence"]
    if target and "translation" not in columns:
        columns.append("translation")
    for line, record in read_tsv(path, columns):
        origin = f"{path.name}:{line}"
        if isinstance(record, list):  # the wrong number of columns
            label = split if split != "all" else record[-1]
            yield Row(
                language,
                SPLIT_OF_LABEL.get(label, UNKNOWN_SPLIT),
                _plain(record[0]),
                origin,
                fault="columns",
            )
            continue
        yield Row(
            language,
            _split_of(record["split"], f"{path}:{line}") if split == "all" else split,
            _plain(record["path"]),
            origin,
            sentence=record.get("sentence", ""),
            speaker=record.get("client_id", ""),
            translations={target: record["translation"]} if target else {},
        )


def _split_of(label: str, where: str) -> str:
    """The split that a label stands for, else the label; one that is nearly right is refused."""
    if label in SPLIT_OF_LABEL:
        return SPLIT_OF_LABEL[label]
    bare = "".join(filter(str.isalnum, label)).casefold()
    meant = [known for known in SPLIT_OF_LABEL if known.replace("_", "") == bare]
    if meant:
        raise CorpusError(
            f"{where}: found the split {label!r}, which no split uses, but is nearly {meant[0]!r}. "
            "Spell it so, or the row would be lost."
        )
    return label


def _plain(path: str) -> str:
    """``./x.mp3`` and ``x.mp3`` are one clip."""
    return str(PurePosixPath(path)) if path else path


class _Said(NamedTuple):
    sentence: str
    speaker: str
    line: int


class _Validated:
    """Common Voice's ``validated.tsv``: what is said in each clip, and by whom.

    Raises
    ------
    CorpusError
        If it is missing or malformed, or says two things of one clip.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CorpusError(
                f"{path.parent.name}: {path} is missing. It is part of Common Voice's archive and "
                "says what is spoken in each clip; put it there."
            )
        self.path = path
        self.said: dict[str, _Said] = {}
        self.malformed: dict[str, int] = {}  # the lines that hold these texts
        self.repeated = 0
        for line, record in read_tsv(path, ["client_id", "path", "sentence"]):
            if isinstance(record, list):
                self.malformed |= dict.fromkeys(map(_plain, record), line)
            else:
                said = _Said(record["sentence"], sys.intern(record["client_id"]), line)
                self._add(_plain(record["path"]), said)

    def _add(self, clip: str, said: _Said) -> None:
        before = self.said.setdefault(clip, said)
        if before is said:
            return
        self.repeated += 1
        if before[:2] != said[:2]:
            what = 0 if before.sentence != said.sentence else 1
            raise CorpusError(
                f"{self.path}: lines {before.line} and {said.line} are both of {clip}, with "
                f"{before[what]!r} and {said[what]!r}. Remove the wrong one."
            )

    def join(self, row: Row) -> None:
        """Give a row its sentence and speaker, or its fault."""
        found = self.said.get(row.path)
        if found:
            row.sentence, row.speaker = found.sentence, found.speaker
        elif row.path in self.malformed:
            row.fault = "columns"
            row.origin += f" and {self.path.name}:{self.malformed[row.path]}"
        else:
            row.fault = "not_in_validated"


def read_tsv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | list]]:
    """Line numbers and records of a tab-separated, unquoted, backslash-escaped file.

    Arguments
    ---------
    path : Path
        The file.
    columns : list of str
        Columns that must be there.

    Yields
    ------
    tuple
        Line number, and the record: a dict, or the bare list where it has too few or too many
        columns.

    Raises
    ------
    CorpusError
        If a column is missing or there twice, or the file is not UTF-8 text.
    """
    csv.field_size_limit(2**24)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        try:
            header = next(reader, [])
            _check_header(path, header, columns)
            for record in reader:
                if not any(map(str.strip, record)):
                    continue  # a blank line, such as the last one
                whole = len(record) == len(header)
                yield reader.line_num, dict(zip(header, record, strict=True)) if whole else record
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path}: {_first_undecodable(path)} is not UTF-8. Get the file anew, or save it "
                "as UTF-8."
            ) from error
        except csv.Error as error:
            raise CorpusError(
                f"{path}: cannot be read at line {reader.line_num + 1}: {error}. Expected text, "
                "tab-separated; get the file anew."
            ) from error


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise CorpusError(
            f"{path}: the header has no column {', '.join(missing)}; it is "
            f"{', '.join(header) or 'empty'}. Is it the right file, and tab-separated?"
        )
    twice = [column for column, number in Counter(header).items() if number > 1]
    if twice:
        raise CorpusError(
            f"{path}: the header has the column {', '.join(twice)} more than once; it is "
            f"{', '.join(header)}. Remove or rename all but the right one."
        )


def _first_undecodable(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1} (0x{line[error.start]:02x})"
    return "a part of it"


def _pair_files(data_folder: Path, language: str, target: str) -> dict[str, Path]:
    name = f"covost_v2.{language}_{target}"
    folders = [data_folder / language, data_folder]
    for folder in folders:
        if (folder / f"{name}.tsv").is_file():
            return {"all": folder / f"{name}.tsv"}
        by_split = {split: folder / f"{name}.{split}.tsv" for split in SPLITS}
        if all(path.is_file() for path in by_split.values()):
            return by_split
    others = _targets_on_disk(data_folder, language)
    raise CorpusError(
        f"pair {language}-{target}: found neither {name}.tsv nor {name}.train.tsv, .dev.tsv and "
        f".test.tsv in {' or '.join(map(str, folders))}. "
        + (
            f"The pairs there are {', '.join(f'{language}-{other}' for other in others)}. "
            if others
            else f"There is no pair of {language} at all. "
        )
        + "Put the file there, or remove the pair from pairs."
    )


def _targets_on_disk(data_folder: Path, language: str) -> list[str]:
    prefix = f"covost_v2.{language}_"
    files = [*(data_folder / language).glob(f"{prefix}*.tsv"), *data_folder.glob(f"{prefix}*.tsv")]
    return sorted({path.name.removeprefix(prefix).split(".")[0] for path in files})
