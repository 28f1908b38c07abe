"""From the clips and TSV files of CoVoST 2 to SpeechBrain manifests.

Training rows with faults are counted and left out; dev and test rows with faults stop the
preparation, since leaving them out would change the score.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from corpus.clips import ADVICE, Clip, ClipJournal
from corpus.conversion import converted_path
from corpus.text import normalize_transcription, normalize_translation
from corpus.tsv import (
    CorpusError,
    Row,
    Source,
    check_list,
    find_source,
    read_rows,
    targets_by_language,
)
from corpus.unlabelled import prepare_unlabelled
from vmsp_brain.data.manifests import COLUMNS, SPLITS, manifest_path
from vmsp_brain.files import put_in_place, write_whole
from vmsp_brain.names import check_language

LISTED = 20
"""Faulty rows that an error message lists; the report has all."""

MAX_CHARACTERS = 2000
"""Of a transcription or a translation: decoders have positions for 2500 tokens."""

VERSION = 2
"""To be raised when equal arguments and files no longer give equal manifests."""


def prepare_covost(
    data_folder: str | Path,
    save_folder: str | Path,
    languages: Sequence[str],
    pairs: Sequence[str],
    min_duration: float = 0.5,
    max_duration: float = 30.0,
    drop_faulty_evaluation_rows: bool = False,
    convert_audio: bool = False,
    workers: int | None = None,
) -> None:
    """Write the manifests and ``preparation.json``, a report of what was kept and left out.

    A killed run is resumed by calling again; a finished one is kept as long as the arguments and
    the TSV files are the same. Of several processes that prepare one folder, one works and the
    others wait for it. All manifests change together, once the last is written.

    Arguments
    ---------
    data_folder : Path
        The corpus: ``<language>/clips``, ``<language>/validated.tsv`` and
        ``covost_v2.<source>_<target>.tsv`` in ``<language>`` or directly in the folder.
    save_folder : Path
        Where the manifests go.
    languages : list of str
        Languages that are spoken.
    pairs : list of str
        Source and target, such as fr-en.
    min_duration, max_duration : float
        Training clips outside of these seconds are left out.
    drop_faulty_evaluation_rows : bool
        Leave out faulty dev and test rows instead of stopping.
    convert_audio : bool
        Write every clip as 16 kHz FLAC to ``<language>/flac`` and let the manifests point there.
    workers : int, optional
        Threads that examine clips; as many as cores if not given.

    Raises
    ------
    CorpusError
        If files are missing or malformed, a split is empty, or dev or test rows are faulty.
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    _check_arguments(languages, pairs, min_duration, max_duration, workers)
    sources = _find_sources(data_folder, languages, pairs)
    made_of = {
        "version": VERSION,
        "languages": sorted(languages),
        "pairs": sorted(pairs),
        "durations": [min_duration, max_duration],
        "drop_faulty_evaluation_rows": drop_faulty_evaluation_rows,
        "convert_audio": convert_audio,
        "files": _fingerprints(data_folder, sources),
    }
    if not _is_prepared(save_folder, made_of):
        save_folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(save_folder):
            if not _is_prepared(save_folder, made_of):  # by the process that this one waited for
                _prepare(data_folder, save_folder, sources, made_of, workers)
                return
    print(f"{save_folder}: prepared already, kept.")


@contextmanager
def _alone_in(save_folder: Path) -> Iterator[None]:
    """Keep other processes from preparing the same folder, even those of other machines."""
    lock = FileLock(save_folder / "preparation.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{save_folder}: another process prepares it; waiting for its end.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _prepare(
    data_folder: Path,
    save_folder: Path,
    sources: Sequence[Source],
    made_of: dict[str, Any],
    workers: int | None,
) -> None:
    languages, convert = made_of["languages"], made_of["convert_audio"]
    readings = [read_rows(data_folder, source) for source in sources]
    rows = [row for reading in readings for row in reading.rows]
    notes = [note for reading in readings for note in reading.notes]
    for note in notes:
        print(note)
    _check_not_empty(rows, languages, "has no rows in the TSV files")
    clips = _check_clips(data_folder, save_folder, rows, workers, convert)
    for row in rows:
        row.fault = row.fault or _fault(row, clips[_key(row)], *made_of["durations"])
    report = {"made_of": made_of, "notes": notes, **_report(rows, clips)}
    _print_report(report)
    write_whole(save_folder / "rejected.json", _to_json(report["rejected"]))
    if not made_of["drop_faulty_evaluation_rows"]:
        _stop_on_faulty_evaluation_rows(report, save_folder)
    good = [row for row in rows if not row.fault]
    faults = Counter(row.fault for row in rows if row.fault)
    counts = ", ".join(f"{number:,} {fault}" for fault, number in faults.items())
    _check_not_empty(good, languages, f"has no usable row ({counts})\n{_advice(faults)}".strip())
    with _changed_together(save_folder) as new:
        for language in languages:
            spoken = [row for row in good if row.language == language]
            names = _names_in_ids(spoken)
            for split in SPLITS:
                chosen = [row for row in spoken if row.split == split]
                path = manifest_path(new, language, split)
                _write_manifest(path, chosen, clips, names, convert)
        _report_path(new).write_text(_to_json(report), encoding="utf-8")


@contextmanager
def _changed_together(save_folder: Path) -> Iterator[Path]:
    """A folder for new manifests and their report; they take the old ones' places at the end.

    While they do, there is no report: what is half changed does not count as prepared.
    """
    new = save_folder / "new"
    shutil.rmtree(new, ignore_errors=True)  # of a killed run
    new.mkdir()
    try:
        yield new
        _report_path(save_folder).unlink(missing_ok=True)
        for path in sorted(new.glob("*.csv")):
            put_in_place(path, save_folder / path.name)
        put_in_place(_report_path(new), _report_path(save_folder))
    finally:
        shutil.rmtree(new)


def _report_path(folder: Path) -> Path:
    return folder / "preparation.json"


def _check_arguments(
    languages: Sequence[str],
    pairs: Sequence[str],
    min_duration: float,
    max_duration: float,
    workers: int | None,
) -> None:
    check_list("languages", languages)
    check_list("pairs", pairs)
    for language in languages:
        check_language(language)
    if not 0 <= min_duration < max_duration:
        raise CorpusError(
            f"min_duration, max_duration: found {min_duration} and {max_duration} s, expected 0 or "
            "more, and more than that."
        )
    if workers is not None and workers < 1:
        raise CorpusError(f"workers: found {workers}, expected 1 or more.")


def _find_sources(
    data_folder: Path, languages: Sequence[str], pairs: Sequence[str]
) -> list[Source]:
    if not data_folder.is_dir():
        seen_from = "" if data_folder.is_absolute() else f" (seen from here, {Path.cwd()})"
        raise CorpusError(
            f"data_folder: {data_folder} is not a folder{seen_from}. Give the one that holds "
            "<language>/clips as --data_folder; make mini-CoVoST with make_mini_covost.py if you "
            "have no corpus."
        )
    targets = targets_by_language(languages, pairs)
    without = [language for language in languages if not _clips(data_folder, language).is_dir()]
    if without == list(languages):
        there = sorted(path.name for path in data_folder.iterdir())[:LISTED]
        raise CorpusError(
            f"data_folder: {data_folder.absolute()} holds none of "
            f"{', '.join(f'{language}/clips' for language in languages)}; it holds "
            f"{', '.join(there) or 'nothing'}. Give the folder that holds <language>/clips as "
            "--data_folder."
        )
    for language in without:
        raise CorpusError(
            f"{language}: {_clips(data_folder, language)} is not a folder. Expected Common Voice's "
            f"clips there; unpack them, or remove {language} from languages."
        )
    return [find_source(data_folder, language, targets[language]) for language in languages]


def _clips(data_folder: Path, language: str) -> Path:
    return data_folder / language / "clips"


def _fingerprints(data_folder: Path, sources: Sequence[Source]) -> dict[str, list[int]]:
    files = [path for source in sources for path in source.files]
    files += [data_folder / source.language / "validated.tsv" for source in sources]
    stats = {str(path.relative_to(data_folder)): path.stat() for path in files if path.exists()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())}


def _is_prepared(save_folder: Path, made_of: dict[str, Any]) -> bool:
    report_path = _report_path(save_folder)
    try:
        before = json.loads(report_path.read_text(encoding="utf-8"))["made_of"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{report_path} is not a report of this script ({error!r}). Remove it to prepare again."
        ) from error
    return before == made_of and all(
        manifest_path(save_folder, language, split).exists()
        for language in made_of["languages"]
        for split in SPLITS
    )


def _check_not_empty(rows: Sequence[Row], languages: Sequence[str], problem: str) -> None:
    present = {(row.language, row.split) for row in rows}
    empty = [f"{language} {split}" for language in languages for split in SPLITS]
    empty = [name for name in empty if tuple(name.split()) not in present]
    if empty:
        raise CorpusError(
            f"{', '.join(empty)}: {problem}. Complete the corpus, or remove the language."
        )


def _key(row: Row) -> str:
    return f"{row.language}/clips/{row.path}"


def _check_clips(
    data_folder: Path,
    save_folder: Path,
    rows: Sequence[Row],
    workers: int | None,
    convert: bool,
) -> dict[str, Clip]:
    journal = ClipJournal(save_folder / "clips.jsonl")
    clips = {_key(row): (_clips(data_folder, row.language), row.path) for row in rows}
    return journal.check([(key, *where) for key, where in clips.items()], workers, convert)


def _fault(row: Row, clip: Clip, min_duration: float, max_duration: float) -> str:
    trains = row.split == "train"
    if clip.fault and (trains or clip.fault != "silent"):
        return clip.fault
    transcription = normalize_transcription(row.sentence)
    translations = [normalize_translation(text) for text in row.translations.values()]
    if not transcription:
        return "empty_transcription"
    if not all(translations):
        return "empty_translation"
    if max(map(len, (transcription, *translations))) > MAX_CHARACTERS:
        return "too_long_text"
    if trains and clip.duration < min_duration:
        return "too_short"
    if trains and clip.duration > max_duration:
        return "too_long"
    return ""


def _report(rows: Sequence[Row], clips: dict[str, Clip]) -> dict[str, Any]:
    kept: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if not row.fault:
            split = kept.setdefault(row.language, {}).setdefault(
                row.split, {"utterances": 0, "hours": 0.0}
            )
            split["utterances"] += 1
            split["hours"] += clips[_key(row)].duration / 3600
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


def _print_report(report: dict[str, Any]) -> None:
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
        print(_advice(reason for _, _, reason in rejected), end="")
        print("Every row left out, with its file and line, is in rejected.json.")


def _advice(faults: Iterable[str]) -> str:
    """A line for each of these reasons whose name does not tell what to do."""
    return "".join(f"{fault}: {ADVICE[fault]}.\n" for fault in sorted(ADVICE.keys() & set(faults)))


def _stop_on_faulty_evaluation_rows(report: dict[str, Any], save_folder: Path) -> None:
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
        "score:\n" + "\n".join(listed) + f"\n{_advice(item['reason'] for item in faulty)}"
        f"All are in {save_folder / 'rejected.json'}. Repair the corpus, or leave them "
        "out knowingly with drop_faulty_evaluation_rows."
    )


def _names_in_ids(rows: Sequence[Row]) -> dict[str, str]:
    """A language's file names, by path: without suffix, unless IDs would be equal then."""
    names = {row.path: str(Path(row.path).with_suffix("")) for row in rows}
    ids = Counter(key for row in rows for key in _ids(row, names[row.path]))
    return names if max(ids.values(), default=1) == 1 else {path: path for path in names}


def _ids(row: Row, name: str) -> list[str]:
    """Of a clip's rows in the manifest: it has one for each of its translations."""
    first = f"{row.language}_{name}"
    return [first, *(f"{first}.{target}" for target in list(row.translations)[1:])]


def _write_manifest(
    path: Path,
    rows: Sequence[Row],
    clips: dict[str, Clip],
    names: Mapping[str, str],
    converted: bool,
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            clips_folder = _clips(Path("$data_root"), row.language)
            wav = converted_path(clips_folder, row.path) if converted else clips_folder / row.path
            translations = row.translations.items() or [("", "")]
            ids = _ids(row, names[row.path])
            for clip_id, (target, translation) in zip(ids, translations, strict=True):
                writer.writerow(
                    (
                        clip_id,
                        clips[_key(row)].duration,
                        wav,
                        row.language,
                        normalize_transcription(row.sentence),
                        target,
                        normalize_translation(translation),
                        row.speaker,
                    )
                )


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def prepare_corpus(hparams: Mapping[str, Any]) -> None:
    """The manifests that an experiment declares; what is there already is kept."""
    prepare_covost(
        hparams["data_folder"],
        hparams["manifest_folder"],
        hparams["languages"],
        hparams["pairs"],
        min_duration=hparams["min_duration"],
        max_duration=hparams["max_duration"],
        drop_faulty_evaluation_rows=hparams["drop_faulty_evaluation_rows"],
        convert_audio=hparams["convert_audio"],
    )
    if hparams["unlabelled_folders"]:
        prepare_unlabelled(
            hparams["unlabelled_folders"],
            hparams["output_folder"],
            hparams["min_duration"],
            hparams["max_duration"],
        )
