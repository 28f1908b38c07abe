"""The shared speech encoder: waveforms in, hidden states out, with its layers named in order.

Each kind of encoder is a module of its own. Those of transformers, ``wav2vec2`` and ``whisper``,
are not imported here, for that takes seconds.
"""

from vmsp_brain.encoders.conformer import ConformerEncoder, conformer_encoder
from vmsp_brain.encoders.interface import Encoder, Frames

__all__ = ["ConformerEncoder", "Encoder", "Frames", "conformer_encoder"]
