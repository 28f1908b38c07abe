"""From the clips and TSV files of CoVoST 2 to SpeechBrain manifests.

Training rows with faults are counted and left out; dev and test rows with faults stop the
preparation, since leaving them out would change the score.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.clips import Clip, ClipJournal
from corpus.conversion import converted_path
from corpus.manifest_folder import (
    Contents,
    alone_in,
    changed_together,
    check_contents,
    contents,
    is_prepared,
)
from corpus.report import (
    LISTED,
    advice,
    print_report,
    report_of,
    stop_on_faulty_evaluation_rows,
)
from corpus.tsv import (
    CorpusError,
    Row,
    Source,
    find_source,
    read_rows,
)
from vmsp_brain.audio import SHORTEST
from vmsp_brain.data.manifests import (
    COLUMNS,
    SENTENCE,
    SPLITS,
    manifest_path,
    preparation_path,
    preparation_report,
)
from vmsp_brain.data.text import normalize_transcription, normalize_translation
from vmsp_brain.files import write_whole
from vmsp_brain.names import check_language, check_list, targets_by_language
from vmsp_brain.shards import name_of

MAX_CHARACTERS = 2000
"""Of a transcription or a translation: decoders have positions for 2500 tokens."""

VERSION = 3
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
    begun_with: Contents | None = None,
) -> Contents:
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
    begun_with : dict, optional
        What this function returned to a run that goes on now: other manifests are refused, and
        those that are there stay.

    Returns
    -------
    dict
        By manifest, the number of its utterances and its SHA-256.

    Raises
    ------
    CorpusError
        If files are missing or malformed, a split is empty, dev or test rows are faulty, or the
        manifests are not those that the run was begun with.
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
    if not is_prepared(save_folder, made_of):
        with alone_in(save_folder):
            if not is_prepared(save_folder, made_of):  # by the process that this one waited for
                _prepare(data_folder, save_folder, sources, made_of, workers, begun_with)
                return contents(save_folder)
    print(f"{save_folder}: prepared already, kept.")
    check_contents(save_folder, begun_with, before={})
    return contents(save_folder)


def _prepare(
    data_folder: Path,
    save_folder: Path,
    sources: Sequence[Source],
    made_of: dict[str, Any],
    workers: int | None,
    begun_with: Contents | None,
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
        row.fault = row.fault or _fault(row, clips[row.clip], *made_of["durations"])
    report = {"made_of": made_of, "notes": notes, **report_of(rows, clips)}
    print_report(report)
    write_whole(save_folder / "rejected.json", _to_json(report["rejected"]))
    if not made_of["drop_faulty_evaluation_rows"]:
        stop_on_faulty_evaluation_rows(report, save_folder)
    good = [row for row in rows if not row.fault]
    faults = Counter(row.fault for row in rows if row.fault)
    counts = ", ".join(f"{number:,} {fault}" for fault, number in faults.items())
    _check_not_empty(good, languages, f"has no usable row ({counts})\n{advice(faults)}".strip())
    with changed_together(save_folder) as new:
        report["rows"] = {}
        for language in languages:
            spoken = [row for row in good if row.language == language]
            names = _names_in_ids(spoken)
            for split in SPLITS:
                chosen = [row for row in spoken if row.split == split]
                path = manifest_path(new, language, split)
                report["rows"][path.name] = _write_manifest(path, chosen, clips, names, convert)
        preparation_path(new).write_text(_to_json(report), encoding="utf-8")
        check_contents(new, begun_with, before=preparation_report(save_folder))


def _check_arguments(
    languages: Sequence[str],
    pairs: Sequence[str],
    min_duration: float,
    max_duration: float,
    workers: int | None,
) -> None:
    check_list("languages", languages)
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


def _check_not_empty(rows: Sequence[Row], languages: Sequence[str], problem: str) -> None:
    present = {(row.language, row.split) for row in rows}
    empty = [f"{language} {split}" for language in languages for split in SPLITS]
    empty = [name for name in empty if tuple(name.split()) not in present]
    if empty:
        raise CorpusError(
            f"{', '.join(empty)}: {problem}. Complete the corpus, or remove the language."
        )


def _check_clips(
    data_folder: Path,
    save_folder: Path,
    rows: Sequence[Row],
    workers: int | None,
    convert: bool,
) -> dict[str, Clip]:
    journal = ClipJournal(save_folder / "clips.jsonl")
    clips = {row.clip: (_clips(data_folder, row.language), row.path) for row in rows}
    return journal.check([(key, *where) for key, where in clips.items()], workers, convert)


def _fault(row: Row, clip: Clip, min_duration: float, max_duration: float) -> str:
    trains = row.split == "train"
    if clip.fault and (trains or clip.fault != "silent"):
        return clip.fault
    transcription = normalize_transcription(row.sentence)
    sentence = normalize_translation(row.sentence)
    translations = [normalize_translation(text) for text in row.translations.values()]
    if not transcription:
        return "empty_transcription"
    if not all(translations):
        return "empty_translation"
    if max(map(len, (transcription, sentence, *translations))) > MAX_CHARACTERS:
        return "too_long_text"
    if clip.duration < (min_duration if trains else SHORTEST):
        return "too_short"
    if trains and clip.duration > max_duration:
        return "too_long"
    return ""


def _names_in_ids(rows: Sequence[Row]) -> dict[str, str]:
    """A language's file names, by path: without suffix, unless IDs would be equal then."""
    names = {row.path: str(Path(name_of(row.path)).with_suffix("")) for row in rows}
    ids = Counter(key for row in rows for key in _ids(row, names[row.path]))
    return names if max(ids.values(), default=1) == 1 else {path: name_of(path) for path in names}


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
) -> int:
    """Write a row for each translation of a clip, or one without; how many there are."""
    written = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, SENTENCE))
        for row in rows:
            clips_folder = _clips(Path("$data_root"), row.language)
            wav = converted_path(clips_folder, row.path) if converted else clips_folder / row.path
            translations = row.translations.items() or [("", "")]
            ids = _ids(row, names[row.path])
            for clip_id, (target, translation) in zip(ids, translations, strict=True):
                writer.writerow(
                    (
                        clip_id,
                        clips[row.clip].duration,
                        wav,
                        row.language,
                        normalize_transcription(row.sentence),
                        target,
                        normalize_translation(translation),
                        row.speaker,
                        normalize_translation(row.sentence),
                    )
                )
                written += 1
    return written


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
