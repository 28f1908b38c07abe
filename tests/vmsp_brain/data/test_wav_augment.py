"""Training hears augmented waveforms: all of it the same, and again when a step is repeated."""

import random
from pathlib import Path

import pytest
import soundfile
import torch
from speechbrain import Stage
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import SpeedPerturb
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from tests.helpers.commands import ROOT
from tests.helpers.oracles import make_brain, make_items, step_gradients
from tests.helpers.small_models import SSL
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.data.wav_augment import Noise, Reverb, augment_waveforms
from vmsp_brain.run.options.command_line import open_experiment

SECONDS = (2.0, 0.5)


def speech(*seconds: float) -> PaddedBatch:
    """Its level is far from noise's, and differs between utterances."""
    rng = torch.Generator().manual_seed(0)
    return PaddedBatch(
        [
            {
                "sig": (1 + number) * torch.randn(round(16_000 * long), generator=rng),
                "asr/fr": torch.arange(4, 7 + number),
            }
            for number, long in enumerate(seconds)
        ]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings at several rates, shorter and longer than speech."""
    rng = torch.Generator().manual_seed(1)
    (tmp_path / "inner").mkdir()
    for name, rate, seconds in (
        ("a.wav", 16_000, 3.0), ("b.flac", 8_000, 0.3), ("inner/c.WAV", 44_100, 1.0),
        ("d.wav", 16_000, 1.5), ("e.wav", 16_000, 0.9),
    ):  # fmt: skip
        decay = torch.exp(-torch.arange(round(rate * seconds)) / rate)
        wave = 0.1 * decay * torch.randn(len(decay), generator=rng)
        soundfile.write(tmp_path / name, wave.numpy(), rate, format=name[-4:].strip(".").upper())
    return tmp_path


@pytest.mark.parametrize("speed", [80, 100, 125])
def test_another_speed_is_another_duration_and_the_same_targets(speed):
    batch, before = speech(*SECONDS), speech(*SECONDS)
    perturb = SpeedPerturb(orig_freq=16_000, speeds=[speed])
    augment_waveforms(batch, {"augment": Augmenter(augmentations=[perturb])})
    wavs, lengths = batch.sig
    for own, share, seconds in zip(wavs, lengths, SECONDS, strict=True):
        samples = round(16_000 * seconds * 100 / speed)
        assert round(float(share) * wavs.shape[1]) == pytest.approx(samples, abs=1)
        assert own[: samples - 1].count_nonzero() > 0.9 * samples
        assert not own[samples + 1 :].any()
    assert torch.equal(batch["asr/fr"].data, before["asr/fr"].data)


@pytest.mark.parametrize("source", ["white", "folder"])
def test_noise_is_as_loud_as_asked_whatever_an_utterance_is_batched_with(source, folder):
    torch.manual_seed(3)
    noise = Noise(str(folder) if source == "folder" else source, snr_low=6.0, snr_high=6.0)
    batch, before = speech(*SECONDS), speech(*SECONDS)
    augment_waveforms(batch, {"augment": Augmenter(augmentations=[noise])})
    for noisy, clean, seconds in zip(batch.sig.data, before.sig.data, SECONDS, strict=True):
        samples = round(16_000 * seconds)
        share = 10 ** (6 / 20) / (1 + 10 ** (6 / 20))  # of the amplitude that stays the speech's
        added = noisy[:samples] - share * clean[:samples]
        ratio = 20 * torch.log10(share * clean[:samples].norm() / added.norm())
        assert float(ratio) == pytest.approx(6.0, abs=0.01)
        assert not noisy[samples:].any()


def test_a_room_with_one_reflection_adds_it(tmp_path):
    room = torch.zeros(800)
    room[[100, 500]] = torch.tensor([1.0, 0.5])
    soundfile.write(tmp_path / "room.wav", room.numpy(), 16_000)
    [wav] = torch.randn(1, 16_000)
    [found] = Reverb(str(tmp_path))(wav[None])
    expected = wav.clone()
    expected[400:] += 0.5 * wav[:-400]
    found, expected = found[800:], expected[800:]  # SpeechBrain's convolution is circular
    assert float(torch.corrcoef(torch.stack([found, expected]))[0, 1]) > 0.999


def all_of(folder: Path) -> Augmenter:
    """By chance, as the YAML of SpeechBrain's recipes often has it."""
    modules = [
        SpeedPerturb(orig_freq=16_000, speeds=[90, 110]),
        Reverb(str(folder)),
        Noise(str(folder), 0, 10),
    ]
    return Augmenter(augment_prob=0.5, min_augmentations=3, augmentations=modules)


def test_what_is_heard_does_not_depend_on_what_was_heard_before(folder):
    """As after a stop, with other sizes of batches than the first."""

    def heard(before: int) -> list[Tensor]:
        augment = {"augment": all_of(folder)}
        brain = make_brain("UAS", ["fr"], ["fr-en"])
        for step in range(before):
            brain.seed_from(1, step)
            augment_waveforms(speech(*[1.0] * (1 + step)), augment)
        found = []
        for step in range(before, 8):
            brain.seed_from(1, step)
            batch = speech(*SECONDS)
            augment_waveforms(batch, augment)
            found.append(batch.sig.data)
        return found[-4:]

    random.seed(8)
    first = heard(before=0)
    random.seed(9)
    again = heard(before=4)
    assert all(map(torch.equal, first, again))
    assert len({wav.shape for wav in first}) > 1


@pytest.mark.parametrize("ssl", SSL)
def test_a_step_is_that_of_the_augmented_utterances_for_every_objective(ssl):
    def twice_as_fast(wavs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return wavs[:, ::2], lengths

    def gradients(augment: bool) -> dict[str, Tensor]:
        hparams = {"wav_augment": {"augment": twice_as_fast}} if augment else {}
        brain = make_brain("UAS", ["fr"], ["fr-en"], ssl=ssl, hparams=hparams)
        items = [item for draw in (0, 1) for item in make_items(brain, draw, seed=draw)]
        if not augment:
            items = [(d, s, item | {"sig": item["sig"][::2]}) for d, s, item in items]
        return step_gradients(brain, MultilingualBatch(items))

    found, expected = gradients(augment=True), gradients(augment=False)
    assert any(gradient.any() for gradient in found.values())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_evaluations_hear_what_was_recorded():
    losses = []
    for hparams in ({}, {"wav_augment": {"augment": lambda *_: pytest.fail("in an evaluation")}}):
        brain = make_brain("UAS", ["fr"], ["fr-en"], hparams=hparams)
        brain.on_stage_start(Stage.VALID, 1)
        brain.modules.eval()
        items = [item for item in make_items(brain, 0, seed=0) if item[1] == "fr"]
        losses.append(brain.evaluate_batch(MultilingualBatch(items), Stage.VALID))
    assert torch.equal(*losses)


def test_an_augmenter_that_makes_more_utterances_is_refused():
    more = Augmenter(concat_original=True, augmentations=[SpeedPerturb(16_000, [90])])
    with pytest.raises(ValueError, match=r"wav_augment: found 4 waveforms of a batch of 2.* False"):
        augment_waveforms(speech(*SECONDS), {"augment": more})


SIZES = ["--d_model=16", "--nhead=4", "--d_ffn=16", "--conformer={num_layers: 1}"]


def load(folder: Path, *options: str) -> dict:
    file, places = ROOT / "hparams" / "wav_augment.yaml", f"--output_folder={folder / 'run'}"
    experiment, _ = open_experiment([str(file), *SIZES, places, "--data_folder=x", *options])
    return experiment.load()


@pytest.mark.parametrize("base", ["uas.yaml", "cr_ctc.yaml", "mini.yaml", "joint.yaml"])
def test_it_goes_with_any_recipe(base, folder, tmp_path_factory):
    given = f"--wav_augment={{speeds: [100, 105], noise: {folder}, reverb: {folder}, snr_low: 3}}"
    hparams = load(tmp_path_factory.mktemp("run"), f"--base={base}", given)
    made = hparams["wav_augment"]["augment"].augmentations
    assert [*made] == ["SpeedPerturb0", "Reverb1", "Noise2"]
    speed, _, noise = made.values()
    assert (speed.speeds, noise.snr_low, noise.snr_high) == ([100, 105], 3, 15)
    batch = speech(*SECONDS)
    augment_waveforms(batch, hparams["wav_augment"])
    assert batch.sig.data.isfinite().all()


@pytest.mark.parametrize("key", ["noise", "reverb"])
def test_a_folder_that_is_not_there_or_holds_no_audio_is_named(key, tmp_path):
    for folder, problem in ((tmp_path / "x", "is not a folder"), (tmp_path, "or below")):
        with pytest.raises(FileNotFoundError, match=rf"wav_augment\[{key}\]: .*{problem}"):
            load(tmp_path, "--base=mini.yaml", f"--wav_augment={{{key}: {folder}}}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFFnothing", "cannot be read as audio"),
        (torch.zeros(100), "is silent"),
        (torch.full((100,), torch.nan), "no numbers"),
    ],
)
def test_a_recording_that_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content.numpy(), 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=rf"wav_augment\[reverb\]: {path} .*{message}"):
        Reverb(str(tmp_path))(torch.randn(1, 1000))
