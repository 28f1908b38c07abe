"""How processes find a way to talk."""

import pytest
import speechbrain as sb
import torch

from vmsp_brain import processes


@pytest.fixture
def chosen(monkeypatch):
    """The backends that were asked for, by a process of two that is on a machine with a GPU."""
    backends = []
    monkeypatch.setattr(
        processes, "ddp_init_group", lambda options: backends.append(options["distributed_backend"])
    )
    monkeypatch.setattr(processes, "number", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return backends


def join(*words: str) -> sb.core.RunOptions:
    return processes.join_group(sb.parse_arguments(["x.yaml", *words])[1])


def test_gloo_is_chosen_without_a_gpu_and_said_in_one_line(chosen, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert join()["distributed_backend"] == "gloo"
    assert chosen == ["gloo"]
    assert caplog.messages == ["Without GPUs, the processes talk by --distributed_backend=gloo."]


@pytest.mark.parametrize(
    ("words", "backend"),
    [
        ([], "nccl"),
        (["--device=cpu"], "gloo"),
        (["--distributed_backend=mpi"], "mpi"),
        (["--device=cpu", "--distributed_backend", "nccl"], "nccl"),
    ],
)
def test_what_is_given_is_kept(chosen, words, backend):
    assert join(*words)["distributed_backend"] == backend
    assert chosen == [backend]


def test_a_process_alone_joins_nothing(caplog):
    join()
    assert not torch.distributed.is_initialized()
    assert not caplog.messages
