import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT
from vmsp_brain.method.conflict import Similarity, Strength
from vmsp_brain.run.folder import RunFolder


def test_a_folder_in_a_run_moves_with_it_and_another_stays(tmp_path):
    text = "output_folder: results/run\nsave_folder: results/run/save\nmanifest_folder: shared\n"
    (tmp_path / "hyperparams.yaml").write_text(text)
    assert not RunFolder.is_run(tmp_path)
    (tmp_path / "log.txt").write_text("")
    assert RunFolder.is_run(tmp_path)
    run = RunFolder(tmp_path)
    assert run.path("save_folder") == tmp_path / "save"
    assert run.path("manifest_folder") == Path("shared")


@pytest.mark.slow
def test_a_folder_in_use_is_refused_and_free_again_after_a_kill(tmp_path):
    code = "import sys, time\nfrom vmsp_brain.run.folder import RunFolder\n"
    code += (
        "with RunFolder(sys.argv[1]).locked():\n    print('locked', flush=True)\n    time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert other.stdout.readline() == b"locked\n"
    taken = rf"in use by another run \(process {other.pid} on"
    with pytest.raises(RuntimeError, match=taken), RunFolder(tmp_path).locked():
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    for _ in range(2):  # free again at its end, also if that is an error
        with pytest.raises(KeyError), RunFolder(tmp_path).locked():
            raise KeyError


def test_conflicts_are_a_row_per_layer_and_pair_and_read_as_they_were_written(tmp_path):
    similarities = {
        "front_end": {
            "asr/en ~ asr/fr": Similarity(0.123456, 0.01, "agree"),
            "asr/en ~ st/fr-en": Similarity(-0.5, 0.1, "conflict"),
        },
        "all layers": {"asr/en ~ asr/fr": Similarity(math.nan, math.nan, "undecided")},
    }
    strengths = {"front_end": {"ssl": Strength(math.nan, math.nan, -0.001, 0.002)}}
    RunFolder(tmp_path).write_conflicts(12, similarities, strengths)
    folder = tmp_path / "conflicts"
    assert (folder / "epoch_0012.csv").read_text().splitlines() == [
        "layer,pair,similarity,standard_error,verdict",
        "front_end,asr/en ~ asr/fr,0.123456,0.010000,agree",
        "front_end,asr/en ~ st/fr-en,-0.500000,0.100000,conflict",
        "all layers,asr/en ~ asr/fr,,,undecided",
    ]
    assert (folder / "objectives_0012.csv").read_text().splitlines() == [
        "layer,objective,norm,norm_error,signal_share,signal_share_error",
        "front_end,ssl,,,-0.001000,0.002000",
    ]
    found = RunFolder(tmp_path).read_conflicts()
    assert repr(found) == repr({12: similarities}), "nan is not equal to itself"


@pytest.mark.parametrize("text", ["", "seed: [1", "- 1", "seed: 1\n", "\0"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    (tmp_path / "hyperparams.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path}/hyperparams.yaml is damaged.*Restore it"):
        RunFolder(tmp_path).path("save_folder")


@pytest.mark.parametrize("text", ["", "[1]", '{"wer": {', "\udcff"])
def test_damaged_scores_are_named(tmp_path, text):
    (tmp_path / "results.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=rf"{tmp_path}/results.json is damaged.*evaluate.py"):
        RunFolder(tmp_path).read_report()


@pytest.mark.parametrize(
    "text", ["", "id\treference\thypothesis", "x1\ta\ta\n", "id\treference\thypothesis\nx1\ta\ta b"]
)
def test_a_cut_table_of_hypotheses_is_named(tmp_path, text):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "asr_fr.tsv").write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path}/test/asr_fr.tsv is damaged.*evaluate.py"):
        RunFolder(tmp_path).read_hypotheses("asr/fr")


HEAD = "layer,pair,similarity,standard_error,verdict\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "layer,a ~ b\nblock,0.1\n",
        f"{HEAD}block,a ~ b,0.1",
        f"{HEAD}block,a ~ b,x,0.1,agree\n",
        f"{HEAD}block,a ~ b,0.1,0.1,perhaps\n",
    ],
)
def test_a_damaged_table_of_conflicts_is_named(tmp_path, text):
    (tmp_path / "conflicts").mkdir()
    (tmp_path / "conflicts" / "epoch_0003.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path}/conflicts/epoch_0003.csv is damaged"):
        RunFolder(tmp_path).read_conflicts()
