"""Time is warped within each utterance, and not at all unless asked for."""

import json

import torch
from speechbrain.augment.freq_domain import Warping

from tests.helpers.commands import ROOT
from tests.helpers.small_models import small_encoder
from vmsp_brain.encoders.time_warping import TimeWarping
from vmsp_brain.run.experiment_file import ExperimentFile

WINDOW = 20
LENGTHS = torch.tensor([1.0, 0.5, 0.3])


def filter_banks() -> torch.Tensor:
    return torch.rand(3, 100, 40, generator=torch.Generator().manual_seed(0))


def test_each_utterance_is_warped_as_if_it_were_alone_and_its_padding_stays():
    found = TimeWarping(WINDOW)(filter_banks(), LENGTHS)
    torch.manual_seed(0)
    alone = filter_banks()
    for utterance, length in zip(alone, (100, 50, 30), strict=True):
        utterance[:length] = Warping(WINDOW)(utterance[None, :length].clone())[0]
    assert torch.equal(found, alone)
    assert not torch.equal(found[1, :50], filter_banks()[1, :50])
    assert torch.equal(found[1, 50:], filter_banks()[1, 50:])
    assert torch.equal(found[2], filter_banks()[2]), "too short for so large a window"


def test_what_it_is_given_stays_as_it_was():
    given = filter_banks()
    TimeWarping(WINDOW)(given, LENGTHS)
    assert torch.equal(given, filter_banks())


def test_without_a_window_nothing_is_changed_and_nothing_drawn():
    before = torch.get_rng_state()
    assert torch.equal(TimeWarping(0)(filter_banks(), LENGTHS), filter_banks())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_encoder_warps_each_utterance_in_training_alone():
    encoder = small_encoder(augment=TimeWarping(WINDOW))
    wavs = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    wavs[1, 8_000:] = 0.0
    lengths = torch.tensor([1.0, 0.5])
    torch.manual_seed(0)
    warped = encoder(wavs, lengths).data
    plain = encoder.eval()(wavs, lengths).data
    assert not torch.allclose(warped[0], plain[0])
    assert not torch.allclose(warped[1, :13], plain[1, :13])
    torch.manual_seed(0)
    other = encoder.train()(torch.cat([wavs, wavs[1:]]), torch.tensor([1.0, 0.5, 0.5])).data
    torch.testing.assert_close(other[:2], warped)  # the third does not change the others


SMALL = {"d_model": 16, "nhead": 4, "d_ffn": 16, "conformer": {"num_layers": 1}}


def test_it_is_an_option_of_the_experiments_with_spec_augment(tmp_path):
    paths = {"data_folder": "anywhere", "output_folder": str(tmp_path)}
    for name in ("uas.yaml", "cr_ctc.yaml"):
        for window, given in ((0, {}), (7, {"spec_augment": {"time_warp": 7}})):
            experiment = ExperimentFile(
                str(ROOT / "hparams" / name), json.dumps(SMALL | paths | given)
            )
            augment = experiment.load()["encoder"].augment
            assert [*augment] == ["warp", "time", "frequency"]
            warp = augment["warp"].warp
            assert (warp.warp_window if warp else 0) == window


def test_masks_are_options_of_the_experiments_too(tmp_path):
    masks = {"time_mask": 7, "time_masks": 5, "band_mask": 1}
    given = {"data_folder": "none", "output_folder": str(tmp_path), "spec_augment": masks}
    for name in ("uas.yaml", "cr_ctc.yaml"):
        experiment = ExperimentFile(str(ROOT / "hparams" / name), json.dumps(SMALL | given))
        augment = experiment.load()["encoder"].augment
        time, frequency = augment["time"], augment["frequency"]
        assert (time.drop_length_low, time.drop_length_high) == (1, 7)
        assert (time.drop_count_low, time.drop_count_high) == (2, 5)
        assert (frequency.drop_length_low, frequency.drop_length_high) == (0, 1)
        filter_banks = torch.ones(2, 40, 80)
        dropped = augment(filter_banks, lengths=torch.ones(2)) == 0
        assert dropped.all(2).sum(1).max() <= 5 * 7  # frames without any band
