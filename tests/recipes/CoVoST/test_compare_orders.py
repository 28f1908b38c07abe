"""The command on two run folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from compare_orders import main
from tests.helpers.commands import call
from tests.helpers.recorded_runs import OBJECTIVES, make_run, make_uas_and_usa


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    return make_uas_and_usa(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def output(runs, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("comparison") / "report"
    done = call(main, *runs, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "**For recognition: uas (order UAS)**" in done.stdout
    return output


def test_one_report_in_three_forms_with_its_figures(output):
    text = (output / "report.md").read_text()
    page = (output / "report.html").read_text()
    figures = sorted(path.name for path in (output / "figures").iterdir())
    kinds = ("conflicts", "conflicts_by_layer", "lambda")
    of_runs = [f"{number}_{kind}.png" for number in (1, 2) for kind in kinds]
    assert figures == [*of_runs, "epochs.png", "scores.png"]
    assert all(f"(figures/{name})" in text for name in figures)
    assert page.count("data:image/png;base64,") == len(figures)
    assert set(json.loads((output / "report.json").read_text())["runs"]) == {"uas", "usa"}


@pytest.mark.slow
def test_bleu_and_p_value_are_those_of_sacrebleu_on_the_same_files(output, runs, tmp_path):
    columns = []
    for run in runs:
        _, *lines = (run / "test" / "st_fr-en.tsv").read_text().splitlines()
        columns.append([line.split("\t") for line in lines])
    files = {"reference": 1, "uas": 2, "usa": 2}
    for number, (name, column) in enumerate(files.items()):
        of_run = columns[max(0, number - 1)]
        (tmp_path / name).write_text("\n".join(row[column] for row in of_run) + "\n")
    paths = [str(tmp_path / name) for name in files]
    command = [sys.executable, "-m", "sacrebleu", paths[0], "-i", *paths[1:], "-m", "bleu"]
    command += ["--paired-bs", "-f", "json", "-w", "4"]
    expected = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found = json.loads((output / "report.json").read_text())
    for name, system in zip(("uas", "usa"), expected, strict=True):
        assert found["runs"][name]["bleu"]["fr-en"] == round(system["BLEU"]["score"], 2)
    p_value = found["differences"]["bleu"]["fr-en"]["usa"]["p_value"]
    assert p_value == pytest.approx(expected[1]["BLEU"]["p_value"], abs=1e-4)


def test_other_test_sets_are_refused_with_the_differing_ids(runs, tmp_path):
    other = shutil.copytree(runs[1], tmp_path / "other")
    path = other / "test" / "asr_en.tsv"
    path.write_text(path.read_text().replace("utterance_7\t", "utterance_x\t"))
    done = call(main, runs[0], other, "--output", tmp_path / "report", check=False)
    assert done.returncode == 1
    assert "asr/en utterance_7: only in uas" in done.stderr
    assert "asr/en utterance_x: only in other" in done.stderr
    assert not (tmp_path / "report").exists()


def refused(*words) -> str:
    """What the command says, without its progress bar, when it ends with an error."""
    done = call(main, *words, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.splitlines()[-1]


def test_a_run_is_not_compared_with_itself_by_another_path(runs, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(runs[0])
    message = refused(runs[0], link, "--output", tmp_path / "report")
    assert message == f"{runs[0]} and {link} are the same run, expected different ones to compare."


def test_results_of_evaluate_are_no_run_and_the_message_has_its_own_line(runs, tmp_path):
    evaluated = shutil.copytree(runs[1], tmp_path / "evaluated")
    shutil.rmtree(evaluated / "tensorboard")
    (evaluated / "hyperparams.yaml").unlink()
    message = refused(runs[0], evaluated, "--output", tmp_path / "report")
    assert str(evaluated) in message
    assert "Errno" not in message
    assert "|" not in message, "the progress bar has ended its line"


def test_an_output_that_is_a_file_is_refused_first(runs, tmp_path):
    (tmp_path / "report").write_text("mine")
    message = refused(*runs, "--output", tmp_path / "report")
    assert "is a file" in message
    assert (tmp_path / "report").read_text() == "mine"


@pytest.fixture(scope="module")
def groups(tmp_path_factory) -> Path:
    """Two seeds of two orders, each group in a folder of its own."""
    folder = tmp_path_factory.mktemp("groups")
    for order, error_rate in (("UAS", 0.1), ("USA", 0.4)):
        for seed in (1, 2):
            rates = dict.fromkeys(OBJECTIVES, error_rate)
            make_run(folder / order / str(seed), order, seed, rates, minutes=1.5)
            make_a_seed(folder / order / str(seed), seed)
    return folder


def make_a_seed(run: Path, seed: int) -> None:
    """What groups of runs are read from besides."""
    hierarchy = "!new:vmsp_brain.method.hierarchy.Hierarchy"
    names = f"[{', '.join(OBJECTIVES)}]"
    with (run / "hyperparams.yaml").open("a") as file:
        file.write(f"seed: {seed}\noutput_folder: {run}\ntrain_log: {run}/train_log.txt\n")
        file.write(f"hierarchy: {hierarchy}\n    objectives: {names}\n    levels:\n")
        file.write("      - !new:vmsp_brain.method.hierarchy.Level\n        objectives: ['*']\n")
    (run / "log.txt").touch()
    with SummaryWriter(str(run / "tensorboard")) as writer:
        for epoch in (1, 2):
            for language in ("en", "fr"):
                writer.add_scalar(f"WER_valid/{language}", 50.0 / epoch, epoch)
    lambdas = ", ".join(f"lambda {name}: 3.33e-01" for name in OBJECTIVES)
    (run / "train_log.txt").write_text(
        "".join(f"epoch: {epoch}, {lambdas} - train loss asr/en: 3.00\n" for epoch in (1, 2))
    )


def test_groups_of_seeds_are_compared_over_seeds(groups, tmp_path):
    listed = ",".join(str(groups / "USA" / seed) for seed in ("1", "2"))
    done = call(main, f"UAS={groups / 'UAS'}", f"USA={listed}", "--output", tmp_path / "report")
    assert "2 experiments over 2 seeds" in done.stdout
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    for name in ("UAS", "USA"):
        of_seeds = [json.loads((groups / name / s / "results.json").read_text()) for s in "12"]
        mean = sum(of["wer_mean"] for of in of_seeds) / 2
        assert found["experiments"][name]["wer"]["mean"] == pytest.approx(mean)
    assert found["reference"] == {"*": "UAS"}


def test_a_group_has_a_seed_once_and_all_words_have_names(groups, runs, tmp_path):
    run, output = groups / "UAS" / "1", ("--output", tmp_path / "report")
    assert "both have the seed 1" in refused(f"UAS={run},{run}", f"USA={groups / 'USA'}", *output)
    assert f"expected NAME={runs[0]}" in refused(f"UAS={run}", runs[0], *output)
    assert "found no run in it" in refused(f"UAS={tmp_path}", f"USA={run}", *output)
