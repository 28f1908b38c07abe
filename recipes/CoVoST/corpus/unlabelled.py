"""Audio without text, from any folder, for self-supervision beside the corpus's own."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from corpus.clips import ClipJournal
from vmsp_brain.audio import audio_files
from vmsp_brain.data.manifests import COLUMNS, unlabelled_manifest
from vmsp_brain.files import whole_file, write_whole
from vmsp_brain.names import check_list


def prepare_unlabelled(
    folders: Sequence[str],
    save_folder: str | Path,
    min_duration: float,
    max_duration: float,
    workers: int | None = None,
) -> None:
    """Write a manifest of all audio files in these folders, and in the folders in them.

    Files that are no audio, damaged, too short or too long are counted and left out;
    ``unlabelled_rejected.json`` has their names. A manifest that is there is kept: a run that goes
    on reads what it read before.

    Arguments
    ---------
    folders : list of str
        Where the audio is.
    save_folder : Path
        Where the manifest goes, see `unlabelled_manifest`.
    min_duration, max_duration : float
        In seconds.
    workers : int, optional
        Threads that examine files; as many as cores if not given.

    Raises
    ------
    FileNotFoundError
        If a folder is missing or has no audio that can be used.
    CorpusError
        If the folders are no list.
    """
    check_list("unlabelled_folders", folders)
    manifest = unlabelled_manifest(save_folder)
    if manifest.is_file():
        print(f"{manifest}: made already, kept.")
        return
    files = [
        (Path(folder), str(file.relative_to(folder)))
        for folder in folders
        for file in audio_files(folder, "unlabelled_folders")
    ]
    manifest.parent.mkdir(parents=True, exist_ok=True)
    journal = ClipJournal(manifest.with_name("unlabelled_clips.jsonl"))
    named = {str(folder / path): (folder, path) for folder, path in files}
    clips = journal.check([(key, *place) for key, place in named.items()], workers)
    durations, faults = {}, {}
    for key, clip in clips.items():
        fault = clip.fault
        if not fault and not min_duration <= clip.duration <= max_duration:
            fault = "too_short" if clip.duration < min_duration else "too_long"
        if fault:
            faults[key] = fault
        else:
            durations[key] = clip.duration
    write_whole(manifest.with_name("unlabelled_rejected.json"), json.dumps(faults, indent=2) + "\n")
    counts = ", ".join(f"{fault} {number}" for fault, number in Counter(faults.values()).items())
    print(
        f"Unlabelled audio: {len(durations)} files, {sum(durations.values()) / 3600:.2f} h; left "
        f"out: {counts or 'none'}."
    )
    if not durations:
        raise FileNotFoundError(
            f"unlabelled_folders: none of the {len(clips)} files in {', '.join(folders)} can be "
            f"used ({counts})."
        )
    _write_manifest(manifest, durations)


def _write_manifest(path: Path, durations: dict[str, float]) -> None:
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for wav, duration in sorted(durations.items()):
            table.writerow({"ID": wav, "duration": duration, "wav": wav})
