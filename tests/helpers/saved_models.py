"""Pretrained models as users have them on disk, with random weights, made in a moment."""

import functools
import tempfile
from pathlib import Path

import torch
from transformers import (
    AutoModel,
    HubertConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

SECONDS = 2
"""What the small Whisper hears at a time; the published ones hear 30 s."""

CONFIGS = {
    "wav2vec2": functools.partial(Wav2Vec2Config, feat_extract_norm="layer"),
    "hubert": functools.partial(HubertConfig, feat_extract_norm="group"),
    "wavlm": functools.partial(WavLMConfig, feat_extract_norm="layer"),
}


def save_model(
    kind: str, folder: Path, sampling_rate: int = 16_000, seconds: int = SECONDS, **config
) -> PreTrainedModel:
    """Save a model of transformers and its feature extractor as ``save_pretrained`` does.

    ``seconds`` is what a Whisper hears at a time.
    """
    torch.manual_seed(0)
    if kind == "whisper":
        model, extractor = _whisper(sampling_rate, seconds, config)
    else:
        model, extractor = _wav2vec2(kind, sampling_rate, config)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return model


@functools.cache
def saved_model(kind: str) -> Path:
    """A folder with a model of this kind, the same for all tests."""
    folder = Path(tempfile.mkdtemp(prefix=kind))
    save_model(kind, folder)
    return folder


def _wav2vec2(kind: str, sampling_rate: int, changes: dict):
    options = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "conv_dim": [8] * 7,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
        "do_stable_layer_norm": kind == "wav2vec2",
        "mask_time_prob": 0.0,  # chance, which the oracles would have to repeat
        **dict.fromkeys(
            ["hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"], 0.0
        ),
        **changes,
    }
    model = AutoModel.from_config(CONFIGS[kind](**options))
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=sampling_rate, do_normalize=True, return_attention_mask=True
    )
    return model, extractor


def _whisper(sampling_rate: int, seconds: int, changes: dict):
    options = {
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 32,
        "decoder_layers": 1,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 32,
        "num_mel_bins": 20,
        "max_source_positions": 50 * seconds,
        "vocab_size": 100,
        "dropout": 0.0,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 3,
        **changes,
    }
    model = AutoModel.from_config(WhisperConfig(**options))
    extractor = WhisperFeatureExtractor(
        feature_size=20, chunk_length=seconds, sampling_rate=sampling_rate
    )
    return model, extractor
