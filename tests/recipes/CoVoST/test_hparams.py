"""The experiments' files, and what the documents say one can write in them."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from vmsp_brain.run.experiment_file import ExperimentFile

ROOT = Path(__file__).parents[3]
SMALL = {
    "data_folder": "anywhere",
    "d_model": 16,
    "nhead": 4,
    "d_ffn": 16,
    "conformer": {"num_layers": 1},
}


def load(name: str, folder: Path, **overrides) -> dict:
    text = json.dumps({**SMALL, "output_folder": str(folder), **overrides})
    return ExperimentFile(str(ROOT / "hparams" / name), text).load()


def test_usa_is_uas_in_another_order():
    uas, usa = (
        YAML().load(ExperimentFile(str(ROOT / "hparams" / name), "").text)
        for name in ("uas.yaml", "usa.yaml")
    )
    assert uas.keys() == usa.keys()
    assert [key for key in uas if str(uas[key]) != str(usa[key])] == ["order"]


def test_uas_is_complete_and_the_others_say_what_differs():
    lines = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "hparams").glob("*.yaml")
    }
    assert lines.pop("usa.yaml") <= 12
    assert lines.pop("mini.yaml") <= 90
    assert max(lines, key=lines.get) == "uas.yaml"


def test_a_mapping_in_a_file_with_a_base_changes_the_keys_that_it_has(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "a: {b: 1, c: {d: 2, e: 3}}\nf: !new:collections.Counter\n    x: 1\n    y: 2\n"
        "g: !new:collections.Counter\n    x: 1\n    y: 2\n"
    )
    (tmp_path / "own.yaml").write_text(
        "base: base.yaml\na: {c: {e: 4}}\nf: {y: 5}\ng: !new:collections.Counter\n    z: 6\n"
    )
    loaded = ExperimentFile(str(tmp_path / "own.yaml"), "").load()
    assert loaded["a"] == {"b": 1, "c": {"d": 2, "e": 4}}
    assert loaded["f"] == Counter(x=1, y=5)
    assert loaded["g"] == Counter(z=6)


@pytest.mark.parametrize(
    ("order", "primary"), [("UAS", ["asr/en", "asr/fr"]), ("USA", ["st/fr-en"])]
)
@pytest.mark.parametrize("name", ["uas.yaml", "usa.yaml", "mini.yaml"])
def test_order_languages_and_pairs_are_options(tmp_path, name, order, primary):
    hparams = load(name, tmp_path, order=order, languages=["en", "fr"], pairs=["fr-en"])
    assert hparams["hierarchy"].levels[0].names == primary
    assert hparams["hierarchy"].levels[2].names == ["ssl"]


@pytest.mark.parametrize(
    ("name", "dynamic"), [("uas.yaml", True), ("usa.yaml", True), ("mini.yaml", False)]
)
def test_batches_are_of_a_duration_where_utterances_differ_in_length(tmp_path, name, dynamic):
    assert load(name, tmp_path)["dynamic_batching"] == dynamic


def test_penalties_begin_and_grow_as_published(tmp_path):
    hierarchy = load("uas.yaml", tmp_path)["hierarchy"]
    assert hierarchy.penalties(1) == [0.1, 0.0]
    assert hierarchy.penalties(11) == pytest.approx([0.3, 0.2])
    assert hierarchy.penalties(200) == [1.5, 1.5]


def test_the_hierarchy_of_the_documents(tmp_path):
    document = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    example = document.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "mine.yaml").write_text(example, encoding="utf-8")
    for name in ("uas.yaml", "parts"):
        (tmp_path / name).symlink_to(ROOT / "hparams" / name)
    overrides = f"data_folder: anywhere\noutput_folder: {tmp_path}\nd_model: 16\nd_ffn: 16"
    hierarchy = ExperimentFile(str(tmp_path / "mine.yaml"), overrides).load()["hierarchy"]
    assert hierarchy.levels[0].names == ["asr/fr", "st/fr-en"]
    assert len(hierarchy.levels[1].names) == 7


RECIPES = {
    "joint.yaml": [10],
    "vs_msp.yaml": [10],
    "vc_msp.yaml": [9, 1],
    "by_language.yaml": [1, 4, 4, 1],
    "two_stage.yaml": [9, 1],
}


@pytest.mark.parametrize(("name", "sizes"), RECIPES.items())
@pytest.mark.parametrize("base", ["uas.yaml", "mini.yaml"])
def test_recipes_change_the_hierarchy_of_their_base_alone(tmp_path, name, sizes, base):
    overrides = (
        f"base: {base}\ndata_folder: anywhere\noutput_folder: {tmp_path}\n"
        "d_model: 16\nd_ffn: 16\nconformer: {num_layers: 1}"
    )
    recipe = ExperimentFile(str(ROOT / "hparams" / name), overrides)
    reference = ExperimentFile(str(ROOT / "hparams" / base), overrides.partition("\n")[2])
    assert [len(level.names) for level in recipe.load()["hierarchy"].levels] == sizes
    own, theirs = (YAML().load(experiment.text) for experiment in (recipe, reference))
    assert own.keys() - theirs.keys() <= {"ssl_epochs"}
    assert {key for key in theirs if str(own[key]) != str(theirs[key])} == {"order", "hierarchy"}


@pytest.mark.parametrize(
    "name", ["usa.yaml", *RECIPES, "baselines/joint_tuned.yaml", "baselines/dwa.yaml"]
)
def test_language_identification_goes_with_every_hierarchy(tmp_path, name):
    hierarchy = load(name, tmp_path, lid=True)["hierarchy"]
    assert hierarchy.levels[-1].names == ["lid"]
    assert not any("lid" in level.names for level in hierarchy.levels[:-1])


@pytest.mark.parametrize("name", ["cpc.yaml", "best_rq.yaml"])
@pytest.mark.parametrize("base", ["uas.yaml", "mini.yaml"])
def test_other_self_supervision_changes_the_ssl_objective_alone(tmp_path, name, base):
    overrides = (
        f"base: {base}\ndata_folder: anywhere\noutput_folder: {tmp_path}\n"
        "d_model: 16\nd_ffn: 16\nconformer: {num_layers: 1}"
    )
    other = ExperimentFile(str(ROOT / "hparams" / name), overrides)
    reference = ExperimentFile(str(ROOT / "hparams" / base), overrides.partition("\n")[2])
    hparams = other.load()
    assert type(hparams["objectives"]["ssl"]) is hparams["ssl"].func
    assert hparams["ssl"].func is not reference.load()["ssl"].func
    own, theirs = (YAML().load(experiment.text) for experiment in (other, reference))
    assert own.keys() == theirs.keys()
    changed = {key for key in theirs if str(own[key]) != str(theirs[key])}
    assert changed == {"ssl", "output_folder"}


def test_every_file_has_a_runs_folder_of_its_own():
    files = [path for path in (ROOT / "hparams").rglob("*.yaml") if path.parent.name != "parts"]
    folders = {
        path.name: ExperimentFile(str(path), "data_folder: x").document()["output_folder"]
        for path in files
    }
    assert len(set(folders.values())) == len(files) > 25, folders


def test_objects_of_a_file_with_a_base_are_made_after_the_seed(tmp_path):
    overrides = f"base: mini.yaml\noutput_folder: {tmp_path}"
    made = []
    for other_seed in (1, 2):
        torch.manual_seed(other_seed)
        experiment = ExperimentFile(str(ROOT / "hparams" / "cpc.yaml"), overrides)
        made.append(experiment.load()["objectives"]["ssl"].prediction.weight)
    assert torch.equal(*made)


@pytest.mark.parametrize(("name", "millions"), [("uas.yaml", 83), ("uas_150m.yaml", 150)])
def test_conformers_have_the_papers_number_of_parameters(tmp_path, name, millions):
    overrides = f"data_folder: anywhere\noutput_folder: {tmp_path}"
    with torch.device("meta"):  # of so many, their number alone
        encoder = ExperimentFile(str(ROOT / "hparams" / name), overrides).load()["encoder"]
    found = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
    assert found == pytest.approx(millions, rel=0.015)


def test_another_base_is_looked_for_where_the_files_own_is(tmp_path):
    """And what a base includes is found from its own folder."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part.yaml").write_text("b: 1\n")
    (tmp_path / "first.yaml").write_text("a: !include:parts/part.yaml\nc: 0\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\na: {b: 2}\n")
    (tmp_path / "inner" / "own.yaml").write_text("base: ../first.yaml\nc: 3\n")
    file = str(tmp_path / "inner" / "own.yaml")
    assert ExperimentFile(file, "").load() == {"a": {"b": 1}, "c": 3}
    assert ExperimentFile(file, "base: second.yaml").load() == {"a": {"b": 2}, "c": 3}


def test_a_missing_file_or_base_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("base: y.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"y.yaml: there is no such experiment file"):
        ExperimentFile(str(tmp_path / "x.yaml"), "")


HIERARCHIES = {
    "stray objective": (["asr/*"], {}, "'st/fr-en' is in no level"),
    "empty level": (["*"], {"below": ["ctc/*"]}, "['ctc/*'], matches no objective"),
    "negative penalty": (["asr/*"], {"below": ["st/*", "ssl"], "eta": -1.0}, "value=-1.0"),
    "unknown weighting": (["*"], {"weighting": "NoSuchWeighting"}, "aggregation.NoSuchWeighting"),
    "an aggregator": (["*"], {"weighting": "UPGrad"}, "expected one of TorchJD's weightings"),
}


@pytest.mark.parametrize(("top", "more", "message"), HIERARCHIES.values(), ids=list(HIERARCHIES))
def test_a_wrong_hierarchy_fails_when_it_is_loaded(tmp_path, top, more, message):
    weighting = more.get("weighting", "MoDoWeighting")
    below = f"""      - !new:vmsp_brain.method.hierarchy.Level
        objectives: {more.get("below")}
        penalty: !new:vmsp_brain.method.penalties.ConstantPenalty
            value: {more.get("eta", 1.0)}"""
    text = f"""base: {ROOT / "hparams" / "uas.yaml"}
hierarchy: !new:vmsp_brain.method.hierarchy.Hierarchy
    objectives: !ref <objectives>
    levels:
      - !new:vmsp_brain.method.hierarchy.Level
        objectives: {top}
        weighting: !new:torchjd.aggregation.{weighting}
{below if "below" in more else ""}
languages: [fr]
pairs: [fr-en]
"""
    (tmp_path / "wrong.yaml").write_text(text)
    (tmp_path / "parts").symlink_to(ROOT / "hparams" / "parts")
    overrides = f"data_folder: nowhere\noutput_folder: {tmp_path}\nd_model: 16\nd_ffn: 16"
    with pytest.raises((ValueError, ImportError), match=re.escape(message)):
        ExperimentFile(str(tmp_path / "wrong.yaml"), overrides).load()
