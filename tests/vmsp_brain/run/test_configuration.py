"""Which configuration a run may go on with."""

import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT
from vmsp_brain.run.configuration import check_run_folder, save_configuration
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder

YAML = """
seed: 1
number_of_epochs: 2
decay_steps: 6
output_folder: {folder}
save_folder: !ref <output_folder>/save
tokenizer_folder: !ref <output_folder>/tokenizers
data_folder: {folder}/data
sizes:
    width: 8
first_stage: !ref <number_of_epochs> // 2
optimizer: !name:torch.optim.Adam
    lr: !ref <seed>
schedule: !new:speechbrain.nnet.schedulers.TriStageLRSchedule
    lr: 0.1
    warmup_steps: 2
    hold_steps: 2
    decay_steps: !ref <decay_steps>
    total_steps: !ref <decay_steps> + 4
checkpointer: !new:vmsp_brain.run.checkpoints.AtomicCheckpointer
    checkpoints_dir: !ref <save_folder>
    recoverables:
        epoch_counter: !ref <epoch_counter>
        schedule: !ref <schedule>
epoch_counter: !new:speechbrain.utils.epoch_loop.EpochCounter
    limit: !ref <number_of_epochs>
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(YAML.format(folder=tmp_path / "run"))
    return path


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def begin(run: RunFolder, path: Path, overrides: str = "", trained: bool = True) -> None:
    save_configuration(run, ExperimentFile(path, overrides))
    if trained:
        (run.checkpoints / "CKPT+1").mkdir(parents=True)


def go_on(run: RunFolder, path: Path, overrides: str = "") -> None:
    experiment = ExperimentFile(path, overrides)
    check_run_folder(run, experiment)
    save_configuration(run, experiment)


def test_a_new_folder_and_the_same_configuration_are_fine(run, path):
    check_run_folder(run, ExperimentFile(path, ""))
    begin(run, path, "seed: 2")
    go_on(run, path, "seed: 2")


def test_a_run_may_be_made_longer_and_says_when_its_schedules_end(run, path, capsys):
    begin(run, path)
    go_on(run, path, "{number_of_epochs: 3}")
    printed = capsys.readouterr().out
    assert "Training goes on to epoch 3 in place of 2." in printed
    assert "schedule: as before, down by step 10; little more is learned" in printed
    assert printed.count("down by") == 1
    assert RunFolder(run.folder).settings["number_of_epochs"] == 3
    go_on(RunFolder(run.folder), path, "{number_of_epochs: 3}")
    assert capsys.readouterr().out == ""


def test_more_epochs_that_change_what_was_trained_are_refused(run, path):
    begin(run, path)
    with pytest.raises(ValueError, match="first_stage: was 1, is now 2"):
        go_on(run, path, "{number_of_epochs: 4}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("seed: 2", r"seed: was 1, is now 2"),
        ("sizes: {width: 16}", r"sizes\[width\]: was 8, is now 16"),
        ("optimizer: !name:torch.optim.SGD", r"optimizer.*Adam"),
        ("decay_steps: 16", r"schedule\[total_steps\]: was 10, is now 20"),
    ],
)
def test_another_configuration_is_refused_by_key(run, path, overrides, message):
    begin(run, path)
    before = run.configuration.read_text()
    with pytest.raises(ValueError, match=message) as error:
        go_on(run, path, overrides)
    assert str(run.folder) in str(error.value)
    assert "another --output_folder" in str(error.value)
    assert run.configuration.read_text() == before


def test_where_nothing_was_trained_another_configuration_takes_its_place(run, path, capsys):
    begin(run, path, trained=False)
    run.tokenizers.mkdir()
    (run.tokenizers / "asr_fr.model").write_text("of the earlier configuration")
    go_on(run, path, "{seed: 2, sizes: {width: 16}}")
    assert RunFolder(run.folder).settings["seed"] == 2
    assert not list(run.tokenizers.iterdir())
    printed = capsys.readouterr().out
    assert "nothing was trained with its earlier configuration" in printed
    assert "seed: was 1, is now 2" in printed


def test_vocabularies_stay_where_the_configuration_or_their_owner_is_another(run, path, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "asr_fr.model").write_text("of several runs")
    begin(run, path, f"tokenizer_folder: {shared}", trained=False)
    go_on(run, path, f"{{seed: 2, tokenizer_folder: {shared}}}")
    assert list(shared.iterdir())
    own = RunFolder(tmp_path / "own")
    begin(own, path, f"output_folder: {own.folder}", trained=False)
    own.tokenizers.mkdir()
    (own.tokenizers / "asr_fr.model").write_text("of a start that was stopped")
    go_on(own, path, f"output_folder: {own.folder}")
    assert list(own.tokenizers.iterdir())


def test_a_run_may_be_moved(run, path, tmp_path):
    begin(run, path)
    run.folder.rename(tmp_path / "elsewhere")
    go_on(RunFolder(tmp_path / "elsewhere"), path, f"output_folder: {tmp_path / 'elsewhere'}")


@pytest.mark.parametrize("text", ["", "# Made from", "seed: 1\n"])
def test_a_damaged_configuration_is_named_and_kept(run, path, text):
    begin(run, path)
    run.configuration.write_text(text)
    with pytest.raises(ValueError, match=rf"{run.configuration} is damaged.*Restore it"):
        go_on(RunFolder(run.folder), path)
    assert run.configuration.read_text() == text


def test_a_configuration_that_cannot_be_written_leaves_the_one_before(run, path):
    begin(run, path)
    before = run.configuration.read_text()
    with disk_of(bytes_left=len(before) // 2), pytest.raises(OSError):
        go_on(run, path, "number_of_epochs: 3")
    assert run.configuration.read_text() == before
    assert list(run.folder.glob("*.partial")) == []


@contextmanager
def disk_of(bytes_left: int):
    """In here no file can grow beyond a size: a real write that ends half-way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# --- a saved configuration as an experiment file --------------------------------------------


@pytest.mark.parametrize("name", ["mini.yaml", "by_language.yaml", "uas_wav2vec2.yaml"])
def test_all_paths_of_a_saved_configuration_follow_a_new_output_folder(tmp_path, name):
    experiment = ROOT / "hparams" / name
    options = f"output_folder: {tmp_path}/old\ndata_folder: {tmp_path}/old/data\n"
    saved = RunFolder(tmp_path / "old")
    save_configuration(saved, ExperimentFile(experiment, options))
    again = ExperimentFile(saved.configuration, f"output_folder: {tmp_path}/new").document()
    assert again == ExperimentFile(experiment, options.replace("/old\n", "/new\n")).document()
    assert again["data_folder"] == f"{tmp_path}/old/data"
    assert again["checkpointer"]["checkpoints_dir"] == f"{tmp_path}/new/save"


def test_a_saved_configuration_belongs_to_the_folder_that_it_is_in(run, path, tmp_path):
    begin(run, path)
    run.log.write_text("")
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    own = ExperimentFile(copy / "hyperparams.yaml", "").document()
    assert own["output_folder"] == str(copy)
    assert own["save_folder"] == str(copy / "save")
    alone = shutil.copy(run.configuration, tmp_path / "mine.yaml")
    assert ExperimentFile(alone, "").document()["save_folder"] == str(run.folder / "save")


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ("seed: 2", "seed"),
        ("number_of_epochs: 3", "number_of_epochs"),
        ("save_folder: elsewhere", "save_folder"),
    ],
)
def test_a_key_that_others_have_copied_is_not_changed_alone(run, path, overrides, key):
    begin(run, path)
    for _ in range(2):  # and what was saved of it in turn
        with pytest.raises(ValueError, match=f"{key}: is .* in {run.configuration}.*cannot be set"):
            ExperimentFile(run.configuration, overrides)
        save_configuration(run, ExperimentFile(run.configuration, ""))
    assert run.configuration.read_text().count("# Made from") == 1
    same = f"{key}: {ExperimentFile(run.configuration, '').document()[key]}"
    ExperimentFile(run.configuration, same)


def test_a_key_of_its_own_may_be_changed_in_a_saved_configuration(run, path):
    begin(run, path)
    changed = ExperimentFile(run.configuration, "sizes: {width: 16}").document()
    assert changed["sizes"]["width"] == 16
