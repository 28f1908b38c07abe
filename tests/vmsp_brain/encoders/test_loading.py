"""What is loaded from an earlier run, and what is said about it."""

import pytest
import torch
from torch import nn

from tests.helpers.small_models import small_encoder, small_objectives
from vmsp_brain.encoders.loading import transfer_parameters
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.init_from import take_over


@pytest.fixture
def run(tmp_path):
    """A checkpoint of two languages, and the modules that it saved."""
    torch.manual_seed(1)
    encoder, objectives = small_encoder(), small_objectives(["en", "fr"], ["fr-en"])
    modules = {"encoder": encoder, "objectives": objectives}
    saved = AtomicCheckpointer(tmp_path / "save", modules).save_checkpoint()
    return saved.path, encoder, objectives


def equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_old_parts_are_bit_identical_and_new_heads_as_they_were(run, capsys):
    folder, encoder, objectives = run
    torch.manual_seed(2)
    new_encoder, new_objectives = (
        small_encoder(),
        small_objectives(["en", "it", "fr"], ["fr-en", "it-en"]),
    )
    before = {name: tensor.clone() for name, tensor in new_objectives.state_dict().items()}
    known = take_over(folder, new_encoder, new_objectives)
    assert known == ["asr/en", "asr/fr", "st/fr-en", "ssl"]
    assert equal(encoder, new_encoder)
    for name in new_objectives:
        if name in known:
            assert equal(objectives[name], new_objectives[name])
        else:
            for key, tensor in new_objectives[name].state_dict().items():
                assert torch.equal(tensor, before[f"{name}.{key}"])
    printed = capsys.readouterr().out
    assert f"encoder.ckpt: {len(encoder.state_dict())} tensors loaded" in printed
    assert "New heads: asr/it, st/it-en. Left out: none." in printed


def test_a_language_less_is_said_to_be_left_out(run, capsys):
    folder, _, _ = run
    take_over(folder, small_encoder(), small_objectives(["en"], []))
    assert "Left out: asr/fr, st/fr-en." in capsys.readouterr().out


def test_other_shapes_are_refused_by_name_and_nothing_is_changed(run):
    folder, _, _ = run
    objectives = small_objectives(["en", "fr"], ["fr-en"], vocab_size=30)
    before = {name: tensor.clone() for name, tensor in objectives.state_dict().items()}
    with pytest.raises(ValueError, match=r"asr/en.*\n.*emb.*\(20, 16\) there, \(30, 16\) here"):
        take_over(folder, small_encoder(), objectives)
    assert all(torch.equal(before[k], v) for k, v in objectives.state_dict().items())
    with pytest.raises(ValueError, match=r"encoder\.ckpt: tensors of other shapes"):
        take_over(folder, small_encoder(d_model=32), objectives)


def test_deeper_and_shallower_models_say_what_is_missing_and_left_out(capsys):
    state = small_encoder(num_layers=3).state_dict()
    transfer = transfer_parameters(small_encoder(num_layers=2), state, "x")
    assert all("layers.2." in name for name in transfer.left_out)
    assert transfer.missing == []
    assert f"left out: conformer.encoder ({len(transfer.left_out)})" in transfer.report("x")
    transfer = transfer_parameters(small_encoder(num_layers=4), state, "x")
    assert {name.split(".")[3] for name in transfer.missing} == {"3"}


def test_another_kind_of_model_is_refused():
    with pytest.raises(ValueError, match=r"no tensor there has a name that the model knows"):
        transfer_parameters(small_encoder(), nn.Linear(2, 2).state_dict(), "somewhere")


def test_half_a_checkpoint_is_named(run):
    (run[0] / "objectives.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"objectives\.ckpt is missing"):
        take_over(run[0], small_encoder(), small_objectives(["en"], []))
