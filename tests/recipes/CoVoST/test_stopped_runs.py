"""Runs that are stopped as a user, a cluster or a power cut stops them, and go on."""

import json
import signal
from pathlib import Path

import pytest
import torch

from corpus.hf_shards import index_hf_copy
from tests.helpers.commands import command, last_parameters
from tests.helpers.hf_copy import make_hf_copy
from tests.helpers.running import Running, has_saved
from vmsp_brain.data.manifests import read_manifest

pytestmark = pytest.mark.slow

OPTIONS = ("--languages=[en, fr]", "--pairs=[fr-en]", "--dropout=0.1", "--num_workers=2",
           "--valid_search={beam_size: 4, max_decode_ratio: 1.0}", "--ckpt_interval_minutes=0",
           "--valid_batch_size=1", "--device=cpu")  # fmt: skip
TWO_PROCESSES = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
VALIDATION = {(): 12, TWO_PROCESSES: 6}
"""Batches of each process: three utterances of two languages, and all of them for SSL."""


def started(data: Path, out: Path, launch: tuple[str, ...], log: Path, *more: str) -> Running:
    arguments = command("train.py", "uas.yaml", data, out, *OPTIONS, *more)
    return Running([arguments[0], *launch, *arguments[1:]], log)


@pytest.fixture(scope="module", params=[(), TWO_PROCESSES], ids=["alone", "torchrun"])
def launch(request) -> tuple[str, ...]:
    """What stands before the script."""
    return request.param


@pytest.fixture(scope="module")
def whole(launch, mini_covost: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted, and its output beside it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    log = out.with_name("log")
    assert started(mini_covost, out, launch, log).end() == 0, log.read_text()
    return out


def test_processes_share_a_test_set(whole: Path, mini_covost: Path):
    assert set(json.loads((whole / "results.json").read_text())["wer"]) == {"en", "fr"}
    lines = whole.with_name("log").read_text().splitlines()
    assert sum(line.startswith("Test ") and "WER" in line for line in lines) == 1
    for objective, language in (("asr_en", "en"), ("asr_fr", "fr"), ("st_fr-en", "fr")):
        rows = read_manifest(whole / "manifests" / f"{language}_test.csv", mini_covost)
        lines = (whole / "test" / f"{objective}.tsv").read_text().splitlines()[1:]
        assert sorted(line.split("\t")[0] for line in lines) == sorted(rows)


@pytest.fixture(scope="module")
def shards(mini_covost: Path, tmp_path_factory) -> Path:
    """The same clips in shards."""
    folder = tmp_path_factory.mktemp("shards")
    for pair in ("en-de", "fr-en"):
        make_hf_copy(mini_covost, folder / "copy", pair)
    index_hf_copy(str(folder / "copy"), folder / "data", ["en", "fr"], ["fr-en"])
    return folder / "data"


def test_a_run_that_is_stopped_again_and_again_ends_bit_identical(
    whole: Path, launch, shards: Path, tmp_path: Path
):
    """Read from shards, to that which read files."""
    out, log = tmp_path / "run", tmp_path / "log"

    def start(*more: str) -> Running:
        return started(shards, out, launch, log, *more)

    often = "--ckpt_interval_steps=1"
    code = start(often).when(has_saved(out, 1, 1)).signal_all(signal.SIGTERM)
    assert code == (1 if launch else 143)
    [stopped] = [line for line in log.read_text().splitlines() if "Stopped by" in line]
    assert "Stopped by SIGTERM in epoch 1, step " in stopped
    assert stopped.endswith("; a checkpoint was saved. Give the same command to go on.")

    begun = f"0/{VALIDATION[launch]} ["  # the progress bar
    code = start().when(lambda: begun in log.read_text()).signal_all(signal.SIGINT)
    assert code == (1 if launch else 130)
    said = log.read_text()
    assert said.count("Stopped by") == 1
    assert (
        "Stopped by Ctrl-C (SIGINT) in the validation of epoch 1; a checkpoint was saved." in said
    )
    assert launch or "Traceback" not in said

    start(often).when(has_saved(out, 2, 2)).signal_all(signal.SIGKILL)
    assert not (out / "results.json").exists()

    assert start().end() == 0, log.read_text()
    expected, found = last_parameters(whole), last_parameters(out)
    assert expected.keys() == found.keys()
    assert len(expected) > 100
    different = [name for name, value in expected.items() if not torch.equal(value, found[name])]
    assert not different
    for name in ("results.json", "train_log.txt"):
        assert (whole / name).read_text() == (out / name).read_text()
