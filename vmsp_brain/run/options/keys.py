"""The declaration of every key: its kind, what it does, and whether a run may go on with another.

Defaults are in the experiment files alone. A key within another one is written as in HyperPyYAML's
references: ``valid_search[beam_size]``, on the command line ``--valid_search={beam_size: 4}``.
"""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vmsp_brain.data.text import CASED, NORMALIZED
from vmsp_brain.names import split_pair
from vmsp_brain.run import comet
from vmsp_brain.run.normalization import NORMALIZERS
from vmsp_brain.run.options.kinds import (
    Choice,
    Flag,
    Kind,
    ListOf,
    MappingOf,
    Number,
    Text,
    Whole,
)


@dataclass(frozen=True)
class Option:
    """A key.

    Arguments
    ---------
    name : str
        The key, or its path.
    kind : Kind
        Which values fit.
    says : str
        What it does, in a sentence.
    null : str
        What null means, if the key may be null.
    may_change : bool
        Whether a run may go on with another value: it does not change what was trained so far.
    file : str
        An experiment file that has it; none for options of the command line alone.
    """

    name: str
    kind: Kind
    says: str
    null: str = ""
    may_change: bool = False
    file: str = "uas.yaml"

    @property
    def expected(self) -> str:
        """What fits, in words."""
        return self.kind.expected + (f", or null ({self.null})" if self.null else "")

    def fits(self, value: Any) -> bool:
        """Whether a value may be given."""
        return bool(self.null) if value is None else self.kind.fits(value)


@dataclass(frozen=True)
class Relation:
    """What several keys' values must satisfy together, or one's beyond its kind.

    Arguments
    ---------
    keys : tuple of str
        Their names.
    holds : callable
        Of the keys' values.
    expected : str
        In words, with what to do.
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    expected: str


@dataclass(frozen=True)
class Idle:
    """Keys that do nothing beside a flag of this value.

    Arguments
    ---------
    flag : str
        Its name.
    value : bool
        Of the flag.
    keys : tuple of str
        Their names.
    instead : str
        What to do, in words.
    """

    flag: str
    value: bool
    keys: tuple[str, ...]
    instead: str


def _is_pair(text: str) -> bool:
    try:
        return bool(split_pair(text))
    except ValueError:
        return False


def _is_installed(package: str) -> bool:
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None  # which a mere folder has not


def _is_device(text: str) -> bool:
    try:
        return bool(torch.device(text).type)
    except RuntimeError:
        return False


FLAG = Flag()
FOLDER = Text("a path (write ./2024 for a name that is a number)", "results/mine")
NAME = Text("some text", "mine")
SOURCE = Text("a folder, or a name on the Hugging Face hub", "results/mine")
LANGUAGES = ListOf(
    Text("", "fr", lambda text: bool(re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]+)?", text))),
    "language codes",
    may_be_empty=False,
)
PAIRS = ListOf(Text("", "fr-en", _is_pair), "pairs of a source and a target language")
SOME = Whole(least=1)
SECONDS = Number(above=0)
SHARE = Number(least=0, most=1)
DROPPED = Number(least=0, below=1)
POSITIVE_SHARE = Number(above=0, most=1)
NOT_NEGATIVE = Number(least=0)
RATE = Number(least=0, most=10)
DECIBELS = Number(least=-100, most=100)
# Beyond these a model fits no machine: a slip of the pen.
WIDTH = Whole(least=1, most=2**14)
LAYERS = Whole(least=1, most=1000)
VOCABULARY = Whole(least=5, most=10**6)  # four tokens are special
PRECISION = Choice(("fp32", "bf16", "fp16"))

_PATHS = (
    Option("base", NAME, "The experiment file that has all other keys.", file="joint.yaml"),
    Option(
        "order", NAME, "Primary level first: UAS or USA; or a name for a hierarchy of your own."
    ),
    Option("seed", Whole(least=0, most=2**32 - 1), "Seed of all that is random."),
    Option("data_folder", FOLDER, "The folder of the corpus.", may_change=True),
    Option("output_folder", FOLDER, "The folder of everything that a run writes."),
    Option("save_folder", FOLDER, "The folder of checkpoints."),
    Option(
        "manifest_folder",
        FOLDER,
        "The folder of manifests; runs that share it prepare the corpus once.",
    ),
    Option("tokenizer_folder", FOLDER, "The folder of SentencePiece vocabularies."),
    Option(
        "init_from",
        FOLDER,
        "The output_folder of an earlier run to start from.",
        null="from scratch",
    ),
    Option(
        "init_heads",
        MappingOf(
            Text("", "st/*"), Text("", "asr/en"), "this run's heads to those of init_from's run"
        ),
        "Heads of init_from's run that heads of this run, by name or pattern, start from, in place "
        "of those of the same name.",
    ),
    Option("train_log", FOLDER, "A text file with a line per epoch."),
)

_DATA = (
    Option("languages", LANGUAGES, "The languages that are recognized, an objective each."),
    Option(
        "pairs",
        PAIRS,
        "The pairs that are translated, an objective each; sources are among languages.",
    ),
    Option(
        "only",
        ListOf(Text("", "asr/fr"), "objectives, by name or pattern", may_be_empty=False),
        "The objectives to have among those of languages and pairs.",
    ),
    Option("lid", FLAG, "Adds an objective that learns which language is spoken."),
    Option("min_duration", NOT_NEGATIVE, "Shorter training clips are left out (s)."),
    Option("max_duration", SECONDS, "Longer training clips are left out (s)."),
    Option(
        "drop_faulty_evaluation_rows",
        FLAG,
        "Leaves out faulty dev and test rows, which changes the scores.",
    ),
    Option(
        "unlabelled_folders",
        ListOf(FOLDER, "paths"),
        "Folders of more audio for self-supervision (wav, flac, mp3).",
    ),
    Option(
        "unlabelled_ratio",
        POSITIVE_SHARE,
        "The share of unlabelled_folders in every batch for self-supervision.",
    ),
    Option("convert_audio", FLAG, "Copies clips as 16 kHz FLAC first; they are read faster."),
    Option("num_workers", Whole(least=0, most=1024), "Processes that read audio.", may_change=True),
    Option(
        "cache_audio",
        FLAG,
        "Keeps decoded audio in memory, for a corpus of a few hours.",
        may_change=True,
    ),
)

_TEXT = (
    Option(
        "asr_text",
        Choice((NORMALIZED, CASED)),
        "What recognition writes: lower case without punctuation, or sentences as they are.",
    ),
    Option(
        "wer_normalizer",
        Choice(NORMALIZERS),
        "What the second WER of results.json, wer_normalized, is normalized by.",
        may_change=True,
    ),
    Option("token_type", Choice(("bpe", "unigram", "char")), "SentencePiece's kind of vocabulary."),
    Option(
        "asr_vocab_size",
        VOCABULARY,
        "Tokens of each language's vocabulary; of characters at most so many, the rest are unused.",
    ),
    Option("st_vocab_size", VOCABULARY, "Tokens of the vocabulary of translation, likewise."),
    Option("st_vocabulary", Choice(("joint", "separate")), "Whether all pairs share a vocabulary."),
    Option(
        "asr_decoder",
        Choice(("separate", "shared")),
        "Whether all languages share a decoder, and its vocabulary.",
    ),
    Option("st_decoder", Choice(("separate", "shared")), "Whether all pairs share a decoder."),
)

_TRAINING = (
    Option("number_of_epochs", SOME, "Passes over the largest language.", may_change=True),
    Option(
        "ssl_epochs",
        Whole(),
        "Epochs of the first stage, which is self-supervised.",
        file="two_stage.yaml",
    ),
    Option("batch_size", SOME, "Utterances per language, draw and process."),
    Option("ssl_batch_size", SOME, "Utterances for self-supervision per draw and process."),
    Option("dynamic_batching", FLAG, "Makes batches of a duration, not of a number."),
    Option("max_batch_length", SECONDS, "Seconds per language, draw and process, with padding."),
    Option("ssl_max_batch_length", SECONDS, "Seconds for self-supervision, with padding."),
    Option("num_buckets", SOME, "Buckets of similar durations; more means less padding."),
    Option("max_batch_ex", SOME, "Utterances at most in a batch of a duration."),
    Option(
        "sampling_temperature",
        Number(above=0, infinite="batches of all languages are equal"),
        "How often small languages are read again; at 1 never.",
    ),
    Option(
        "curriculum_epochs",
        Whole(least=0),
        "Epochs at the beginning in which short utterances come before long ones.",
    ),
    Option("valid_batch_size", SOME, "Utterances in a batch of an evaluation.", may_change=True),
    Option("decode_every", SOME, "Epochs between validations that decode.", may_change=True),
    Option("grad_accumulation_factor", SOME, "Micro-batches per step."),
    Option(
        "max_grad_norm",
        Number(above=0, infinite="no clipping"),
        "Norm to which the encoder's gradient is clipped, and that of all heads together.",
    ),
    Option(
        "ckpt_interval_minutes",
        NOT_NEGATIVE,
        "Minutes between two checkpoints within an epoch; 0: none.",
        may_change=True,
    ),
    Option(
        "checkpoints_to_keep",
        SOME,
        "How many of the best checkpoints, and of the last, are kept.",
        may_change=True,
    ),
    Option("encoder_lr", RATE, "The encoder's learning rate, at its peak."),
    Option("head_lr", RATE, "The heads' learning rate, at its peak."),
    Option("weight_decay", RATE, "Weight decay of AdamW."),
    Option("decay_norms_and_biases", FLAG, "Applies weight decay to norms and biases too."),
    Option(
        "ema_decay",
        Number(least=0, below=1),
        "The average's share in the moving average of the weights that is tested and kept.",
        null="the weights themselves",
    ),
    Option(
        "layer_decay",
        POSITIVE_SHARE,
        "Share of an encoder layer's learning rate that the layer below it has.",
    ),
    Option(
        "warmup_steps",
        SOME,
        "Optimizer steps over which the learning rates rise to their peak.",
    ),
    Option("hold_steps", Whole(least=0), "Optimizer steps for which they stay there."),
    Option("decay_steps", SOME, "Optimizer steps over which they then fall to decay_factor."),
    Option("decay_factor", POSITIVE_SHARE, "Share of their peak to which they fall."),
    Option("encoder_opt_class[fused]", FLAG, "Makes AdamW's step in one kernel.", file="mini.yaml"),
    Option("head_opt_class[fused]", FLAG, "Makes AdamW's step in one kernel.", file="mini.yaml"),
)

_HIERARCHY = (
    Option("gamma", Number(above=0), "MoDo: step size of λ."),
    Option("rho", NOT_NEGATIVE, "MoDo: pulls λ towards uniform."),
    Option(
        "scale_by",
        Choice(("loss", "gradient")),
        "Units in which objectives are weighed against each other.",
        null="as they are",
    ),
    *(
        Option(
            f"{key}_weight",
            NOT_NEGATIVE,
            f"The constant weight of {of}.",
            file="baselines/joint_tuned.yaml",
        )
        for key, of in (
            ("recognition", "every recognition objective"),
            ("translation", "every translation objective"),
            ("ssl", "self-supervision"),
        )
    ),
    Option("eta_1[start]", NOT_NEGATIVE, "Penalty between levels 1 and 2 in the first epoch."),
    Option("eta_1[growth]", NOT_NEGATIVE, "Growth of that penalty per epoch."),
    Option("eta_1[cap]", NOT_NEGATIVE, "What that penalty grows to at most."),
    Option("eta_2[start]", NOT_NEGATIVE, "Penalty between levels 2 and 3 in the first epoch."),
    Option("eta_2[growth]", NOT_NEGATIVE, "Growth of that penalty per epoch."),
    Option("eta_2[cap]", NOT_NEGATIVE, "What that penalty grows to at most."),
)

_COST = (
    Option("efficient", FLAG, "Applies MoDo on those layers alone where objectives conflict."),
    Option(
        "lambda_from",
        Choice(("gramians", "directions")),
        "What MoDo's λ comes from: all rows' Gramian, or one direction for each level.",
    ),
    Option("update_weights_every", SOME, "Optimizer steps between two updates of λ."),
    Option(
        "sketch_size",
        SOME,
        "Columns of a random sketch in place of a layer's rows.",
        null="the rows",
    ),
    Option(
        "measure_every",
        SOME,
        "Optimizer steps between two measurements of conflict, but where every step measures it.",
    ),
    Option("layer_selection[warm_up]", SOME, "Epochs before layers are selected."),
    Option(
        "layer_selection[threshold]",
        Number(least=-1, most=1),
        "Mean cosine similarity under which a layer is selected.",
    ),
    Option(
        "layer_selection[select_by]",
        Choice(("bound", "mean")),
        "Whether the mean must be under the threshold beyond doubt, or just be there.",
    ),
    Option(
        "layer_selection[max_layers]",
        SOME,
        "How many layers are selected at most.",
        null="no limit",
    ),
)

_MODEL = (
    Option("d_model", WIDTH, "Width of the encoder and of the decoders."),
    Option("nhead", WIDTH, "Heads of attention."),
    Option("d_ffn", WIDTH, "Width of the decoders' feed-forward networks."),
    Option("dropout", DROPPED, "Share of activations that is dropped."),
    Option(
        "wav_augment[speeds]",
        ListOf(Whole(least=50, most=200), "speeds in percent", may_be_empty=False),
        "The speeds of which each training batch is played at one.",
        file="wav_augment.yaml",
    ),
    Option(
        "wav_augment[noise]",
        FOLDER,
        "A folder of noises that are added to training utterances, or white.",
        null="none",
        file="wav_augment.yaml",
    ),
    Option(
        "wav_augment[snr_low]",
        DECIBELS,
        "Least ratio of speech to noise, in dB.",
        file="wav_augment.yaml",
    ),
    Option(
        "wav_augment[snr_high]",
        DECIBELS,
        "Greatest ratio of speech to noise, in dB.",
        file="wav_augment.yaml",
    ),
    Option(
        "wav_augment[reverb]",
        FOLDER,
        "A folder of impulse responses of rooms in which training utterances are heard.",
        null="none",
        file="wav_augment.yaml",
    ),
    Option(
        "spec_augment[time_warp]",
        Whole(least=0),
        "SpecAugment: filter banks by which a point in time moves at most; 0: none moves.",
    ),
    Option(
        "spec_augment[time_mask]",
        Whole(least=1),
        "SpecAugment: filter banks of a span that is dropped, at most; a fifth of it at least.",
    ),
    Option(
        "spec_augment[time_masks]",
        Whole(least=0),
        "SpecAugment: spans that are dropped in an utterance, at most; two fifths of it at least.",
    ),
    Option(
        "spec_augment[band_mask]",
        Whole(least=1),
        "SpecAugment: Mel bands of a drop, of which there are one or two, at most; a quarter of it "
        "at least.",
    ),
    Option("conformer[d_model]", WIDTH, "Width of the encoder."),
    Option("conformer[nhead]", WIDTH, "Heads of attention of the encoder."),
    Option("conformer[dropout]", DROPPED, "Share of the encoder's activations that is dropped."),
    Option("conformer[num_layers]", LAYERS, "The encoder's layers."),
    Option("conformer[d_ffn]", WIDTH, "Width of the encoder's feed-forward networks."),
    Option("conformer[kernel_size]", WIDTH, "Frames that the encoder's convolutions see."),
    Option(
        "conformer[front_end_channels]",
        Whole(least=2, most=2**12),
        "Channels of the front-end's first convolution; the second has half.",
    ),
    Option(
        "conformer[n_mels]",
        Whole(least=4, most=200),
        "Mel bands of the encoder's features.",
        file="mini.yaml",
    ),
    Option(
        "conformer[hop_length]",
        Number(least=1, most=25),  # not beyond the window, which sees every sample
        "Milliseconds from one filter bank to the next; four make a frame.",
        file="mini.yaml",
    ),
    Option("ssl[mask_start]", POSITIVE_SHARE, "Share of frames that begin a masked span."),
    Option("ssl[mask_length]", SOME, "Frames of a masked span."),
    Option("ssl[num_negatives]", WIDTH, "Wrong frames among which the right one is to be found."),
    Option("ssl[quantized_size]", WIDTH, "Width of quantized latents.", file="mini.yaml"),
    Option(
        "ssl[num_codes]", Whole(least=1, most=2**20), "Codes of the codebook.", file="best_rq.yaml"
    ),
    Option("ssl[window]", SOME, "CPC: frames that are encoded together.", file="cpc.yaml"),
    Option("ssl[steps]", LAYERS, "CPC: frames predicted after a window.", file="cpc.yaml"),
    Option("objectives[recognition][num_layers]", LAYERS, "Layers of each decoder."),
    Option(
        "objectives[recognition][d_ffn]",
        WIDTH,
        "Width of the feed-forward networks.",
        file="mini.yaml",
    ),
    Option(
        "objectives[recognition][label_smoothing]",
        DROPPED,
        "Label smoothing of the attention loss.",
    ),
    Option("objectives[recognition][ctc_weight]", SHARE, "CTC's share of the loss; 0: no CTC."),
    Option("objectives[recognition][ctc_weight_decode]", SHARE, "CTC's share of a beam's score."),
    Option(
        "objectives[recognition][inner_ctc_layers]",
        ListOf(Text("", "block_06"), "the encoder's layers"),
        "Inner layers whose outputs CTC reads too.",
    ),
    Option(
        "objectives[recognition][inner_ctc_weight]", SHARE, "Their share of CTC's part of the loss."
    ),
    Option(
        "objectives[recognition][consistency_weight]",
        NOT_NEGATIVE,
        "CR-CTC: weight of the disagreement on two augmented views.",
    ),
    Option("objectives[translation][num_layers]", LAYERS, "Layers of each decoder."),
    Option(
        "objectives[translation][d_ffn]",
        WIDTH,
        "Width of the feed-forward networks.",
        file="mini.yaml",
    ),
    Option("objectives[translation][label_smoothing]", DROPPED, "Label smoothing of the loss."),
    Option("objectives[translation][ctc_weight]", SHARE, "CTC's share of the loss; 0: no CTC."),
    Option("objectives[translation][ctc_weight_decode]", SHARE, "CTC's share of a beam's score."),
)

_PRETRAINED = (
    Option(
        "wav2vec2_source",
        SOURCE,
        "The wav2vec 2.0, XLS-R, HuBERT or WavLM to start from.",
        null="another encoder",
        file="uas_wav2vec2.yaml",
    ),
    Option("whisper_source", SOURCE, "The Whisper to start from.", file="uas_whisper.yaml"),
    Option(
        "speechbrain_source",
        SOURCE,
        "The SpeechBrain model to start from.",
        file="uas_speechbrain.yaml",
    ),
    Option(
        "pretrained_folder", FOLDER, "The folder of downloaded models.", file="uas_wav2vec2.yaml"
    ),
    Option(
        "freeze_feature_extractor",
        FLAG,
        "Keeps the convolutions as they are.",
        file="uas_wav2vec2.yaml",
    ),
    Option(
        "frozen_blocks",
        Whole(least=0),
        "How many of the first blocks, with all below them, are kept as they are.",
        file="uas_wav2vec2.yaml",
    ),
    Option(
        "gradient_checkpointing",
        FLAG,
        "Recomputes activations: less memory, more time.",
        file="uas_wav2vec2.yaml",
    ),
    Option(
        "encoder[spec_augment]",
        FLAG,
        "Masks latents as the model's configuration says.",
        file="uas_wav2vec2.yaml",
    ),
    *(
        Option(
            f"encoder[{part}]",
            NAME,
            "The key of this part in the model's hyperparams.yaml.",
            file="uas_speechbrain.yaml",
        )
        for part in ("features", "normalize", "front_end", "conformer")
    ),
)

_DECODING = tuple(
    option
    for stage in ("valid", "test")
    for option in (
        Option(
            f"{stage}_search[beam_size]",
            WIDTH,
            "Hypotheses that the beam search keeps.",
            may_change=True,
        ),
        Option(
            f"{stage}_search[max_decode_ratio]",
            Number(above=0),
            "Longest hypothesis, in tokens per encoder frame.",
            may_change=True,
        ),
    )
)

_LOGGING = (
    Option(
        "comet_model",
        FOLDER,
        "A COMET model's checkpoint, by which the test's translations are scored too.",
        null="no COMET",
        may_change=True,
    ),
    Option(
        "track",
        ListOf(Choice(("wandb", "mlflow")), "places, of wandb and mlflow"),
        "Where TensorBoard's curves go too: Weights & Biases, MLflow.",
        may_change=True,
    ),
)

# SpeechBrain's, on the command line alone; max_grad_norm and others of them are keys above.
_RUN = tuple(
    Option(name, kind, says, null, may_change=True, file="")
    for name, kind, says, null in (
        ("test_only", FLAG, "Tests the best checkpoint without training.", ""),
        ("debug", FLAG, "Runs a few batches of a few epochs, to see whether all works.", ""),
        ("debug_batches", SOME, "Batches of an epoch with --debug.", ""),
        ("debug_epochs", SOME, "Epochs with --debug.", ""),
        ("debug_persistently", FLAG, "Keeps the checkpoints of --debug.", ""),
        (
            "device",
            Text("a device", "cuda:0", _is_device),
            "The device that the model is on.",
            "a GPU if there is one",
        ),
        ("distributed_backend", Choice(("nccl", "gloo", "mpi")), "How several processes talk.", ""),
        ("compile", FLAG, "Compiles the encoder's layers.", ""),
        (
            "compile_using_dynamic_shape_tracing",
            FLAG,
            "With --compile: compiles once for all lengths.",
            "",
        ),
        ("precision", PRECISION, "Precision of forwards in training.", ""),
        ("eval_precision", PRECISION, "Precision of forwards in evaluations.", ""),
        (
            "nonfinite_patience",
            Whole(least=0),
            "How many losses of an epoch may be not finite.",
            "",
        ),
        ("noprogressbar", FLAG, "Shows no progress bars.", ""),
        ("tqdm_colored_bar", FLAG, "Colours the progress bars.", ""),
        (
            "ckpt_interval_steps",
            Whole(least=0),
            "Steps between two checkpoints within an epoch; 0: none.",
            "",
        ),
        ("optimizer_step_limit", SOME, "Ends training after so many steps.", "all epochs"),
        ("profile_training", FLAG, "Writes a profile for TensorBoard.", ""),
        ("profile_warmup", SOME, "Steps before the profile begins.", ""),
        ("profile_steps", SOME, "Steps that are profiled.", ""),
    )
)

GROUPS = {
    "Paths": _PATHS,
    "Data": _DATA,
    "Text": _TEXT,
    "Training": _TRAINING,
    "Hierarchy": _HIERARCHY,
    "Cost of a step": _COST,
    "Model": _MODEL,
    "Pretrained models": _PRETRAINED,
    "Decoding": _DECODING,
    "Logging": _LOGGING,
    "On the command line alone": _RUN,
}
"""Every key by its subject, in the order of an experiment's file."""

OPTIONS = {option.name: option for group in GROUPS.values() for option in group}
"""Every key by its name."""


RELATIONS = (
    Relation(
        ("min_duration", "max_duration"),
        lambda least, most: least <= most,
        "the first not above the second",
    ),
    Relation(
        ("wav_augment[snr_low]", "wav_augment[snr_high]"),
        lambda least, most: least <= most,
        "the first not above the second",
    ),
    Relation(
        ("st_decoder", "st_vocabulary"),
        lambda decoder, vocabulary: decoder == "separate" or vocabulary == "joint",
        "a joint st_vocabulary for a shared st_decoder",
    ),
    Relation(
        ("nhead", "d_model"),
        lambda heads, width: width % heads == 0,
        "an nhead that divides d_model, such as 4 and 256",
    ),
    Relation(
        ("conformer[nhead]", "conformer[d_model]"),
        lambda heads, width: width % (2 * heads) == 0,
        "an nhead that divides d_model into even parts, such as 4 and 256",
    ),
    Relation(
        ("conformer[kernel_size]",),
        lambda size: size % 2 == 1,
        "an odd number, such as 31",
    ),
    Relation(
        ("ckpt_interval_minutes", "ckpt_interval_steps"),
        lambda minutes, steps: not (minutes and steps),
        "one of the two, the other 0, such as --ckpt_interval_minutes=0",
    ),
    Relation(
        ("ssl_epochs", "number_of_epochs"),
        lambda first, epochs: 1 <= first < epochs,
        "at least one epoch in each of the two stages, such as 1 and 4",
    ),
    *(
        Relation(
            (precision,),
            lambda precision: precision != "fp16" or torch.cuda.is_available(),
            "fp32 or bf16 on a machine without GPU",
        )
        for precision in ("precision", "eval_precision")
    ),
    Relation(
        ("device",),
        lambda device: not device.startswith("cuda") or torch.cuda.is_available(),
        "cpu, since PyTorch finds no GPU here",
    ),
    *(Relation(("comet_model",), holds, expected) for holds, expected in comet.NEEDS),
    Relation(
        ("track",),
        lambda places: all(map(_is_installed, places)),
        "places whose package is installed here: pip install wandb, pip install mlflow",
    ),
)
"""What must hold beyond the kinds."""

IDLE = (
    Idle(
        "dynamic_batching",
        True,
        ("batch_size", "ssl_batch_size"),
        "Give max_batch_length and ssl_max_batch_length (s), or --dynamic_batching=False too",
    ),
    Idle(
        "dynamic_batching",
        False,
        ("max_batch_length", "ssl_max_batch_length", "num_buckets", "max_batch_ex"),
        "Give batch_size and ssl_batch_size (utterances), or --dynamic_batching=True too",
    ),
)
"""What a file may have for later, but nobody gives and means."""
