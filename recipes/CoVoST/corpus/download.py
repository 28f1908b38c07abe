"""Getting CoVoST 2's translations, and what to do about the clips that belong to them."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from corpus.archive import check_archive, extract_member
from corpus.resumable_download import download
from corpus.tsv import CorpusError, read_tsv
from vmsp_brain.names import split_pair

BASE_URL = "https://dl.fbaipublicfiles.com/covost"
"""The server that the CoVoST project names for its translations."""

FROM_ENGLISH = (
    "ar", "ca", "cy", "de", "et", "fa", "id", "ja", "lv", "mn", "sl", "sv-SE", "ta", "tr", "zh-CN",
)  # fmt: skip
INTO_ENGLISH = (*FROM_ENGLISH, "es", "fr", "it", "nl", "pt", "ru")


def download_covost(
    data_folder: str | Path, pairs: Sequence[str], base_url: str = BASE_URL
) -> list[Path]:
    """Download, verify and unpack the translations of these pairs.

    Arguments
    ---------
    data_folder : Path
        The corpus; made if it is not there.
    pairs : list of str
        Source and target, such as fr-en.
    base_url : str
        The folder of the archives on a server, http or https.

    Returns
    -------
    list of Path
        The TSV file of each pair.

    Raises
    ------
    DownloadError
        If a transfer fails or what arrived is not right; the message says what to do.
    ArchiveError
        If an archive is damaged, or has members that could be written outside of its folder.
    CorpusError
        If CoVoST 2 has no such pair, or its file has not the columns that are expected.
    """
    data_folder = Path(data_folder)
    for pair in pairs:
        _check_exists(pair)
    return [_download_pair(data_folder, pair, base_url.rstrip("/")) for pair in pairs]


def _check_exists(pair: str) -> None:
    source, target = split_pair(pair)
    if (source in INTO_ENGLISH and target == "en") or (source == "en" and target in FROM_ENGLISH):
        return
    raise CorpusError(
        f"pairs: CoVoST 2 has no {pair}. It has {', '.join(INTO_ENGLISH)} into en, and en into "
        f"{', '.join(FROM_ENGLISH)}."
    )


def _download_pair(data_folder: Path, pair: str, base_url: str) -> Path:
    source, target = split_pair(pair)
    name = f"covost_v2.{source}_{target}.tsv"
    archive = data_folder / "archives" / f"{name}.tar.gz"
    download(f"{base_url}/{archive.name}", archive, partial(check_archive, member=name))
    tsv = data_folder / source / name
    extract_member(archive, name, tsv, check=_check_tsv)
    return tsv


def _check_tsv(path: Path) -> None:
    next(read_tsv(path, ["path", "translation", "split"]), None)


def next_steps(data_folder: str | Path, pairs: Sequence[str]) -> str:
    """What the user has to do now, for the clips that belong to these pairs."""
    data_folder = Path(data_folder)
    languages = list(dict.fromkeys(split_pair(pair)[0] for pair in pairs))
    missing = [language for language in languages if not _has_common_voice(data_folder / language)]
    if not missing:
        return (
            f"The clips of {', '.join(languages)} are there. Train (train.py prepares what it "
            f"needs), or make manifests alone:\n  {_prepare(data_folder, languages, pairs)}"
        )
    wanted = [
        f"  {data_folder / language / part}"
        for language in missing
        for part in ("clips/*.mp3", "validated.tsv")
    ]
    copy = data_folder.with_name(f"{data_folder.name}_hf")
    return "\n".join(
        [
            f"The clips of {', '.join(missing)} are missing. They are Common Voice's, and only you "
            "can agree to its terms.",
            "CoVoST 2 is made of the release Common Voice Corpus 4 (2019-12-10). Either",
            "",
            "1. unpack that release's archives, so that there are",
            *wanted,
            "  then train, or make manifests alone:",
            f"  {_prepare(data_folder, languages, pairs)}",
            "",
            "2. or, since the release is hard to get by now, take clips and texts from the copy of",
            "  CoVoST 2 on the Hugging Face hub, into another folder:",
            f"  {_prepare(copy, languages, pairs)} --source hf",
            "",
            "A later release lacks some of the clips. Dev and test rows without a clip stop the",
            "preparation, since scores without them are not comparable.",
        ]
    )


def _prepare(data_folder: Path, languages: Sequence[str], pairs: Sequence[str]) -> str:
    script = "python recipes/CoVoST/covost_prepare.py"
    folders = shlex.join([str(data_folder), str(data_folder / "manifests")])
    return f"{script} {folders} --languages {' '.join(languages)} --pairs {' '.join(pairs)}"


def _has_common_voice(folder: Path) -> bool:
    clips = folder / "clips"
    return (folder / "validated.tsv").is_file() and clips.is_dir() and any(clips.iterdir())
