"""What a study's file asks for, and what it cannot."""

import pytest

from tests.helpers.commands import ROOT
from vmsp_brain.run.study_file import read_study

BASE = f"base: {ROOT}/hparams/mini.yaml\n"


@pytest.fixture
def study(tmp_path):
    def read(text: str):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return read_study(path)

    return read


def test_own_keys_change_the_common_ones_and_files_get_the_base(study):
    text = "seeds: [7]\ncommon: {number_of_epochs: 3, conformer: {num_layers: 2, kernel_size: 7}}\n"
    found = study(
        f"{BASE}{text}experiments:\n"
        "    A:\n"
        "    B: {file: joint.yaml, conformer: {num_layers: 1}, test_search: {beam_size: 2}}\n"
    )
    first, second = found.runs
    assert first.words == (
        f"{ROOT}/hparams/mini.yaml",
        "--number_of_epochs=3",
        "--conformer={num_layers: 2, kernel_size: 7}",
        "--seed=7",
    )
    assert second.words == (
        f"{ROOT}/hparams/joint.yaml",
        "--base=mini.yaml",
        "--number_of_epochs=3",
        "--conformer={num_layers: 1, kernel_size: 7}",
        "--test_search={beam_size: 2}",
        "--seed=7",
    )
    assert first.epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no keys"),
        ("- 1", "found no keys"),
        (f"{BASE}seeds: [1\n", "line 3: is not plain YAML"),
        (f"{BASE}seeds: [1]\nexperiments: {{A: !new:a.b {{}}}}", "belong into an experiment file"),
        (f"{BASE}seeds: [1, 1]\nexperiments: {{A: }}", "seeds: found [1, 1], expected a list"),
        (f"{BASE}seeds: []\nexperiments: {{A: }}", "seeds: found [], expected a list of seeds"),
        ("seeds: [1]\nexperiments: {A: }", "base: found nothing, expected an experiment file"),
        (f"{BASE}seeds: [1]", "experiments: found nothing, expected a name"),
        (f"{BASE}seeds: [1]\nexperiments: {{a/b: }}", "experiments: found a/b, expected a name of"),
        (f"{BASE}seeds: [1]\nexperiments: {{A: 3}}", "experiments[A]: found 3, expected keys"),
        (f"{BASE}seeds: [1]\nexperiment: 3\nexperiments: {{A: }}", "experiment: a study has no"),
        (f"{BASE}seeds: [1]\nexperiments: {{A: {{seed: 2}}}}", "the study sets it. Leave it out."),
        (f"{BASE}seeds: [1]\nexperiments: {{A: }}\nreference: B", "reference: found B, expected"),
        (
            f"{BASE}seeds: [1]\nexperiments: {{A: }}\nreference: {{asr/*: B}}",
            "reference[asr/*]: found B, expected one of the experiments A",
        ),
        (
            f"{BASE}seeds: [1]\nexperiments: {{A: {{batch_siz: 3}}}}",
            "experiments[A]: --batch_siz: ",
        ),
        (
            f"{BASE}seeds: [1]\nexperiments: {{A: {{file: jiont.yaml}}}}",
            "joint.yaml meant?",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(study, text, message):
    with pytest.raises(ValueError if "jiont" not in text else (ValueError, OSError)) as error:
        study(text)
    assert message in str(error.value)
    assert "study.yaml" in str(error.value)


def test_a_base_that_would_make_another_experiment_is_refused(study, tmp_path):
    uas = (ROOT / "hparams" / "uas.yaml").read_text()
    files = {"uas": uas, "special": "base: uas.yaml\n", "own": "base: special.yaml\n"}
    files["small"] = "base: uas.yaml\n"
    (tmp_path / "parts").symlink_to(ROOT / "hparams" / "parts")
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    head = f"base: {tmp_path}/small.yaml\nseeds: [1]\ncommon: {{data_folder: data}}\n"
    with pytest.raises(ValueError, match=r"own\.yaml has the base .*special\.yaml, in whose place"):
        study(f"{head}experiments: {{A: {{file: own.yaml}}}}")
    [run] = study(f"{head}experiments: {{A: {{file: own.yaml, base: null}}}}").runs
    assert not any(word.startswith("--base") for word in run.words)
