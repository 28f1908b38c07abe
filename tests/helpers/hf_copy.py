"""A local copy of a corpus in the schema of the Hugging Face one, made on the spot."""

from pathlib import Path

from datasets import Audio, Dataset, Features, Value

from corpus.tsv import SPLIT_OF_LABEL, read_tsv

SCHEMA = Features(
    client_id=Value("string"),
    file=Value("string"),
    audio=Audio(sampling_rate=16_000),
    sentence=Value("string"),
    translation=Value("string"),
    id=Value("string"),
)
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
WHERE_IT_WAS_MADE = "/home/someone/cv/fr/clips"


def make_hf_copy(corpus: Path, copy: Path, pair: str) -> Path:
    """Write a pair of a corpus (its clips, validated.tsv and TSV file) as parquet."""
    source, target = pair.split("-")
    validated = read_tsv(corpus / source / "validated.tsv", ["path"])
    said = {record["path"]: record for _, record in validated}
    rows = {split: [] for split in SPLITS}
    for _, record in read_tsv(corpus / source / f"covost_v2.{source}_{target}.tsv", ["path"]):
        name = record["path"]
        row = {
            "client_id": said[name]["client_id"],
            "file": f"{WHERE_IT_WAS_MADE}/{name}",
            "audio": {"bytes": (corpus / source / "clips" / name).read_bytes(), "path": name},
            "sentence": said[name]["sentence"],
            "translation": record["translation"],
            "id": name.removesuffix(".mp3"),
        }
        rows[SPLIT_OF_LABEL[record["split"]]].append(row)
    for split, chosen in rows.items():
        write_split(copy / f"{source}_{target}", SPLITS[split], chosen)
    return copy


def write_split(folder: Path, split: str, rows: list[dict], files: int = 2) -> None:
    """Rows as the parquet files of a split, in row groups of two, in place of those there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for before in folder.glob(f"{split}-*.parquet"):
        before.unlink()
    for number in range(files):
        share = rows[number * len(rows) // files : (number + 1) * len(rows) // files]
        path = folder / f"{split}-{number:05d}-of-{files:05d}.parquet"
        Dataset.from_list(share).cast(SCHEMA).to_parquet(path, batch_size=2)
