"""The experiments' files, and what the documents say one can write in them."""

from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

ROOT = Path(__file__).parents[3]
SMALL = {
    "data_folder": "anywhere",
    "d_model": 16,
    "nhead": 4,
    "d_ffn": 16,
    "conformer": {"num_layers": 1},
}


def load(name: str, folder: Path, **overrides) -> dict:
    with (ROOT / "hparams" / name).open(encoding="utf-8") as file:
        return load_hyperpyyaml(file, {**SMALL, "output_folder": str(folder), **overrides})


def test_uas_and_usa_differ_in_the_order_alone():
    def settings(name: str) -> list[str]:
        lines = (ROOT / "hparams" / name).read_text(encoding="utf-8").splitlines()
        return lines[next(i for i, line in enumerate(lines) if not line.startswith("#")) :]

    pairs = zip(settings("uas.yaml"), settings("usa.yaml"), strict=True)
    different = [pair for pair in pairs if pair[0] != pair[1]]
    assert [[line.split()[:2] for line in pair] for pair in different] == [
        [["order:", "UAS"], ["order:", "USA"]]
    ]


@pytest.mark.parametrize(
    ("order", "primary"), [("UAS", ["asr/en", "asr/fr"]), ("USA", ["st/fr-en"])]
)
@pytest.mark.parametrize("name", ["uas.yaml", "usa.yaml", "mini.yaml"])
def test_order_languages_and_pairs_are_options(tmp_path, name, order, primary):
    hparams = load(name, tmp_path, order=order, languages=["en", "fr"], pairs=["fr-en"])
    assert hparams["hierarchy"].names[0] == primary
    assert hparams["hierarchy"].names[2] == ["ssl"]


def test_penalties_begin_and_grow_as_published(tmp_path):
    hierarchy = load("uas.yaml", tmp_path)["hierarchy"]
    assert hierarchy.penalties(1) == [0.1, 0.0]
    assert hierarchy.penalties(11) == pytest.approx([0.3, 0.2])
    assert hierarchy.penalties(200) == [1.5, 1.5]


def test_the_hierarchy_of_the_readme(tmp_path):
    readme = (ROOT / "recipes" / "CoVoST" / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```yaml\n")[2].partition("```")[0]
    uas = (ROOT / "hparams" / "uas.yaml").read_text(encoding="utf-8")
    before, _, after = uas.partition("hierarchy: !apply")
    after = after[after.index("# ------") :]
    (tmp_path / "mine.yaml").write_text(f"{before}{example}\n{after}", encoding="utf-8")
    (tmp_path / "parts").symlink_to(ROOT / "hparams" / "parts")
    with (tmp_path / "mine.yaml").open(encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, {**SMALL, "output_folder": str(tmp_path / "run")})
    assert hparams["hierarchy"].names[0] == ["asr/fr", "st/fr-en"]
    assert len(hparams["hierarchy"].names[1]) == 7
