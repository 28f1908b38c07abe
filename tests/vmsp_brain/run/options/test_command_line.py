"""What people type: a mistake ends in a message that names the key; nothing is written."""

import contextlib
import json
import math
import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.helpers.commands import ROOT, TINY
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.options.keys import OPTIONS, Option
from vmsp_brain.run.options.kinds import Choice, Number

UAS = str(ROOT / "hparams" / "uas.yaml")
MINI = str(ROOT / "hparams" / "mini.yaml")

MISTAKES = {
    # silent before: gradients reversed, the only checkpoint deleted, the whole file system walked
    "--max_grad_norm=-1": "found -1, expected a number above 0, or .inf (no clipping), such as 5.0",
    "--max_grad_norm -1": "--max_grad_norm: found -1",
    "--checkpoints_to_keep=0": "found 0, expected a whole number of at least 1, such as 1",
    "--unlabelled_folders=/path": "found /path, expected a list of paths",
    "--number_of_epochs=0": "--number_of_epochs: found 0, expected a whole number of at least 1",
    "--batch_size=1.5": "--batch_size: found 1.5, expected a whole number of at least 1, such as 2",
    "--sketch_size=0": "found 0, expected a whole number of at least 1, or null (the rows)",
    "--st_vocabulary=both": "found both, expected one of joint, separate",
    "--efficient=yes": "--efficient: found yes, expected True or False, such as False",
    "--convert_audio=1": "--convert_audio: found 1, expected True or False",
    "--nonfinite_patience=-1": "found -1, expected a whole number of at least 0",
    "--encoder_lr=-1e-3": "--encoder_lr: found -0.001, expected a number from 0 to 10",
    "--warmup_steps=-5": "--warmup_steps: found -5, expected a whole number of at least 1",
    "--max_duration=.inf": "--max_duration: found .inf, expected a number above 0",
    "--seed=12:30": "--seed: found '12:30', expected a whole number from 0",
    "--languages=fr": "--languages: found fr, expected a list of language codes",
    "--languages=[fr,fr]": "--languages: found [fr, fr], expected a list",
    "--pairs=[fr_en]": "--pairs: found [fr_en], expected a list of pairs",
    "--layer_selection={max_layer: 3}": "no max_layer in it. Is max_layers meant?",
    "--valid_search={beem_size: 3}": "no beem_size in it. Is beam_size meant?",
    "--conformer={num_layer: 3}": "no num_layer in it. Is num_layers meant?",
    "--ssl=!new:torch.nn.Linear {a: 1}": "the file has another object there",
    # unclear before
    "--test_search={beam_size: 0}": "--test_search[beam_size]: found 0, expected a whole number",
    "--test_search={max_decode_ratio: 0}": "--test_search[max_decode_ratio]: found 0",
    "--valid_batch_size=0": "--valid_batch_size: found 0, expected a whole number of at least 1",
    "--grad_accumulation_factor=0": "--grad_accumulation_factor: found 0, expected a whole number",
    "--batch_size=abc": "--batch_size: found abc, expected a whole number",
    "--number_of_epochs=abc": "--number_of_epochs: found abc, expected a whole number",
    "--seed=abc": "--seed: found abc, expected a whole number",
    "--data_folder=": "--data_folder: found nothing, expected a path",
    "--ordr=UAS": "--ordr: hparams/mini.yaml has no such key. Is order meant?",
    "--batch-size=4": "Is batch_size meant?",
    "--frozen_blocks=1": "has no such key. uas_wav2vec2.yaml has it",
    "--seed=1 --seed=2": "--seed: is given twice, as 1 and as 2. Give it once.",
    "--debug --debug": "--debug: is given twice",
    "--languages=[en,fr": "--languages: found '[en,fr' (expected ',' or ']'",
    "--nhead=5": "nhead, d_model: found 5 and 96, expected an nhead that divides d_model",
    "--conformer={kernel_size: 4}": "conformer[kernel_size]: found 4, expected an odd number",
    "--conformer=3": "--conformer: found 3, expected some of its keys",
    "--batch_size={a: 1}": "--batch_size: found {a: 1}, expected a whole number",
    "--min_duration=30": "min_duration, max_duration: found 30 and 20.0, expected",
    "--objectives={recognition: {ctc_weight: 2}}": "[ctc_weight]: found 2, expected a number from",
    "--ckpt_interval_steps=5": "ckpt_interval_minutes, ckpt_interval_steps: found 30 and 5",
    # SpeechBrain's options
    "--dev=cpu": "--dev: hparams/mini.yaml has no such key. Is device meant?",
    "--precisio=bf16": "Is precision meant?",
    "--precision=fp8": "--precision: found fp8, expected one of fp32, bf16, fp16",
    "--device=gpu": "--device: found gpu, expected a device",
    "--debug_batches=0": "--debug_batches: found 0, expected a whole number of at least 1",
    "--remove_vector_weight_decay": "that this recipe does not take. Leave it out",
    "--data_parallel_backend": "that this recipe does not take. Leave it out",
    "--jit": "that this recipe does not take. Leave it out",
    "other.yaml": "Found 2 experiment files (hparams/mini.yaml, other.yaml), expected one",
}


def split(options: str) -> list[str]:
    """At the spaces before options and before a value without =."""
    return re.split(r" (?=--)|(?<=norm) ", options)


@pytest.mark.parametrize(("options", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_a_mistake_is_named_with_what_fits_and_nothing_is_written(
    tmp_path, monkeypatch, options, message
):
    (tmp_path / "hparams").symlink_to(ROOT / "hparams")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        open_experiment(["hparams/mini.yaml", *split(options)])
    assert [file.name for file in tmp_path.iterdir()] == ["hparams"]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_two_stages_of_too_few_epochs_name_both_keys(epochs):
    words = [str(ROOT / "hparams" / "two_stage.yaml"), "--base=mini.yaml"]
    message = f"ssl_epochs, number_of_epochs: found 0 and {epochs}, expected at least one epoch in"
    with pytest.raises(ValueError, match=message):
        open_experiment([*words, f"--number_of_epochs={epochs}"])
    open_experiment([*words, "--number_of_epochs=4"])


def test_an_option_that_would_do_nothing_is_refused_with_what_to_give():
    corpus = "--data_folder=x"
    with pytest.raises(ValueError) as error:
        open_experiment([UAS, corpus, "--batch_size=16", "--ssl_batch_size=16"])
    assert str(error.value) == (
        "--batch_size, --ssl_batch_size: no effect with dynamic_batching: True. Give "
        "max_batch_length and ssl_max_batch_length (s), or --dynamic_batching=False too."
    )
    open_experiment([UAS, corpus, "--batch_size=16", "--dynamic_batching=False"])
    with pytest.raises(ValueError, match="--max_batch_length: no effect with dynamic_batching: F"):
        open_experiment([MINI, "--max_batch_length=85"])
    open_experiment([UAS, corpus, "--max_batch_length=85"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("option", ["--device=cuda", "--device=cuda:1", "--precision=fp16"])
def test_what_needs_a_gpu_is_refused_without_one(option):
    with pytest.raises(ValueError, match=r"(device|precision): found .*GPU"):
        open_experiment([MINI, option])


def test_a_corpus_must_be_named():
    with pytest.raises(
        ValueError, match=r"^--data_folder: found nothing, expected a path .*such as"
    ):
        open_experiment([UAS])


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ValueError) as error:
        open_experiment([MINI, "--seed=a", "--batch_size=0", "--valid_search={beam_size: 0}"])
    keys = [line.partition(":")[0] for line in str(error.value).splitlines()]
    assert keys == ["--seed", "--batch_size", "--valid_search[beam_size]"]


def test_mistakes_of_a_file_name_the_file(tmp_path):
    mine = tmp_path / "mine.yaml"
    text = f"base: {MINI}\nhalf: 1\nbatch_size: !ref <half> // 2\nrho: -1\nunknown: here\n"
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        open_experiment([str(mine)])
    assert str(error.value).splitlines() == [
        f"{mine}, batch_size: found 0, expected a whole number of at least 1, such as 1.",
        f"{mine}, rho: found -1, expected a number of at least 0, such as 0.",
    ]
    experiment, _ = open_experiment([str(mine), "--half=2", "--rho=0.5"])
    resolved = YAML().load(experiment.resolved())
    assert (resolved["batch_size"], resolved["unknown"]) == (1, "here")


@pytest.mark.parametrize("key", ["valid_search", "test_search"])
def test_a_misspelt_key_of_a_search_is_refused_before_training(tmp_path, key):
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"base: {MINI}\n{key}: {{beam_sise: 5}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Is beam_size meant") as error:
        open_experiment([str(mine)])
    assert str(error.value) == f"{mine}, {key}: there is no beam_sise in it. Is beam_size meant?"


def test_a_key_of_a_file_that_looks_misspelt_is_told(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    text = f"base: {MINI}\nbatchsize: 4\nseeds: 2\nseed: !ref <seeds>\nnote: mine\n"
    mine.write_text(text, encoding="utf-8")
    open_experiment([str(mine)])
    assert capsys.readouterr().err.splitlines() == [
        f"{mine}, batchsize: a key of your own, that nothing refers to. Is batch_size meant?",
    ]
    open_experiment([MINI])
    assert capsys.readouterr().err == ""


NO_EXPERIMENTS = {
    "a list": ("- a\n", "found no keys"),
    "nothing": ("", "found no keys"),
    "not YAML": ("a: [1,\nb: 2]: c\n", "line 2: is not YAML"),
    "a key twice": ("a: 1\na: 2\n", 'line 2: is not YAML: found duplicate key "a"'),
    "binary": (b"\xff\xfe\x00", "is not YAML: 'utf-8' codec can't decode byte 0xff"),
    "its own base": ("base: x.yaml\n", "is its own base"),
    "a base that is a number": ("base: 3\n", "found the base 3, expected a file"),
    "a reference to nothing": ("a: !ref <b>\n", 'The reference "b" is not valid'),
}


@pytest.mark.parametrize(("content", "message"), NO_EXPERIMENTS.values(), ids=list(NO_EXPERIMENTS))
def test_a_file_that_is_no_experiment_is_named(tmp_path, content, message):
    file = tmp_path / "x.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))}.*{re.escape(message)}"):
        open_experiment([str(file)])


def test_a_file_that_is_not_there_is_named_and_its_neighbour_suggested():
    with pytest.raises(FileNotFoundError, match=r"min.yaml: there is no .* Is .*mini.yaml meant\?"):
        open_experiment([MINI.replace("mini", "min")])


def test_without_arguments_it_says_how_to_call_it():
    with pytest.raises(ValueError, match=r"^Found no experiment file, expected one.\nUsage: "):
        open_experiment([])


def test_help_is_of_all_keys_or_of_one(capsys):
    with pytest.raises(SystemExit):
        open_experiment([MINI, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith("Usage: ")
    assert all(f"\n{name}: {option.expected}\n" in printed for name, option in OPTIONS.items())
    with pytest.raises(SystemExit):
        open_experiment(["--help", "valid_search[beam_size]"])
    printed = capsys.readouterr().out
    assert printed.startswith("valid_search[beam_size]: a whole number from 1 to 16384\n")
    assert printed.count("\n") == 2
    with pytest.raises(ValueError, match="Is batch_size meant"):
        open_experiment(["--help", "batch_siz"])


def test_values_are_taken_whole(tmp_path):
    experiment, run_options = open_experiment(
        [
            MINI,
            "--output_folder=runs/a=b",
            "--efficient",
            "--seed",
            "7",
            "--debug",
            "--device",
            "cpu",
        ]
    )
    assert experiment.overrides == {"output_folder": "runs/a=b", "efficient": True, "seed": 7}
    assert run_options.overridden_args == {"debug", "device"}
    assert (run_options.debug, run_options.device) == (True, "cpu")


def test_keys_of_the_file_that_speechbrain_has_too_are_saved_with_the_configuration():
    experiment, run_options = open_experiment([MINI, "--grad_accumulation_factor=4"])
    assert YAML().load(experiment.resolved())["grad_accumulation_factor"] == 4
    assert run_options.overridden_args == set()


# ------------------------------------------------------------------ generated


def as_word(value: object) -> str:
    """A value as YAML."""
    return json.dumps(value).replace("Infinity", ".inf").replace("NaN", ".nan")


WORDS = st.text("abcAFx019 -_.:[]{}'\"#=,", max_size=6)
VALUES = st.one_of(
    WORDS,
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 40),
        st.just(10**12),
        st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, -0.5, math.inf, -math.inf, math.nan]),
        st.sampled_from(["UAS", "bpe", "separate", "en", "results/x", "cpu"]),
        st.lists(st.sampled_from(["en", "fr", "fr-en", "en-fr", "", 3, None]), max_size=3),
        st.dictionaries(st.sampled_from(["beam_size", "a"]), st.integers(-1, 3), max_size=2),
    ).map(as_word),
)
KEYS = [name for name, option in OPTIONS.items() if option.file == "uas.yaml" or not option.file]


def word(name: str, value: str) -> str:
    key, *inner = name.replace("]", "").split("[")
    for part in reversed(inner):
        value = f"{{{part}: {value}}}"
    return f"--{key}={value}"


def fitting(option: Option) -> st.SearchStrategy[str]:
    """Values that the declaration allows, but for large models."""
    candidates: list = [option.kind.example]
    if isinstance(option.kind, Number):
        candidates += [0, 0.2, 0.5, 1, 2, 3, 4, 7, 8, 24, -1, math.inf]
    elif isinstance(option.kind, Choice):
        candidates += option.kind.words
    return st.sampled_from([as_word(value) for value in candidates if option.fits(value)])


SETTINGS = st.tuples(st.sampled_from(KEYS), st.sampled_from(["any", "fitting", "fitting"])).flatmap(
    lambda drawn: st.tuples(
        st.just(drawn[0]), VALUES if drawn[1] == "any" else fitting(OPTIONS[drawn[0]])
    )
)


def test_any_value_loads_or_is_refused_by_name(tmp_path):
    ended = Counter()

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(st.lists(SETTINGS, min_size=1, max_size=2).map(dict))
    def attempt(values: dict[str, str]) -> None:
        by_key = {option.partition("=")[0]: option for option in ["--data_folder=x", *TINY]}
        by_key |= {f"--{key.partition('[')[0]}": word(key, value) for key, value in values.items()}
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        with contextlib.chdir(folder):
            try:
                experiment, _ = open_experiment([UAS, *by_key.values()])
                experiment.load()
                ended["loaded"] += 1
            except ValueError as error:
                ended["refused"] += 1
                names = {part for name in values for part in name.replace("]", "").split("[")}
                assert any(name in str(error) for name in names)
                assert not list(folder.iterdir())

    attempt()
    assert min(ended["loaded"], ended["refused"]) > 10
