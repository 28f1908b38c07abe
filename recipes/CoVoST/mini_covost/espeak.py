"""Speech from the eSpeak NG library that the ``espeakng-loader`` wheel bundles, through ctypes.

eSpeak NG and the wheel are GPL-3.0. They are a requirement of the mini-CoVoST demo corpus
alone: nothing in ``vmsp_brain``, and no other script of this recipe, imports this module.
"""

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SAMPLE_RATE = 22050
VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7")

# Names and values from eSpeak NG's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
ESPEAK_RATE = 1
ESPEAK_PITCH = 3
POS_CHARACTER = 1
CHARS_UTF8 = 1
NOISE_SEED = 1
MAX_DATA_PATH = 159  # eSpeak NG keeps its data path in a buffer of 160 bytes and cuts it silently

SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(RuntimeError):
    """eSpeak NG is not installed, does not start, or refuses what it is asked to say."""


def synthesize(text: str, voice: str, rate: int, pitch: int) -> np.ndarray:
    """Speaks one sentence. Equal arguments give equal samples, whatever was spoken before.

    Arguments
    ---------
    text : str
        The sentence, in its usual orthography.
    voice : str
        An eSpeak NG voice, with or without a variant: ``"fr"``, ``"fr+f2"``.
    rate : int
        Words per minute, 80 to 450.
    pitch : int
        0 to 100; 50 is the voice's normal pitch.

    Returns
    -------
    samples : np.ndarray
        Mono int16 samples at ``SAMPLE_RATE`` Hz.

    Raises
    ------
    EspeakError
        If the library is missing or does not start, or if it knows no such voice.
    """
    chunks = []

    @SYNTH_CALLBACK
    def keep(wav, n_samples, _events):
        if wav and n_samples > 0:
            chunks.append(ctypes.string_at(wav, n_samples * ctypes.sizeof(ctypes.c_short)))
        return 0  # go on

    with _fresh_library() as (library, data_path):
        _check_variant(voice, data_path)
        utf8 = ctypes.create_string_buffer(text.encode("utf-8"))
        size = ctypes.c_size_t(len(utf8))
        library.espeak_SetSynthCallback(keep)
        _check(library.espeak_SetVoiceByName(voice.encode()), f"voice {voice!r}")
        _check(library.espeak_SetParameter(ESPEAK_RATE, rate, 0), f"rate {rate}")
        _check(library.espeak_SetParameter(ESPEAK_PITCH, pitch, 0), f"pitch {pitch}")
        _check(
            library.espeak_Synth(utf8, size, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None),
            f"text {text!r}",
        )
    if not chunks:
        raise EspeakError(f"eSpeak NG gave no sound for {text!r} with voice {voice!r}.")
    return np.frombuffer(b"".join(chunks), dtype=np.int16)


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, Path]]:
    """Loads, starts, stops and unloads eSpeak NG, always in the same state.

    It keeps the state of a voice's flutter between utterances, and ``espeak_Terminate`` does
    not reset it; unloading the library does, and costs about 2 ms. It seeds the noise of
    breathy voices with the time of day; the seed set here takes the place of that.
    """
    library_path, data_path = _installed_paths()
    try:
        library = ctypes.CDLL(str(library_path))
    except OSError as error:
        raise EspeakError(f"eSpeak NG does not load from {library_path}: {error}") from error
    try:
        sample_rate = library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data_path).encode(), INITIALIZE_DONT_EXIT
        )
        if sample_rate != SAMPLE_RATE:
            raise EspeakError(
                f"eSpeak NG does not start with its data in {data_path}: espeak_Initialize "
                f"returned {sample_rate}, not {SAMPLE_RATE}. Reinstall espeakng-loader."
            )
        _check(library.espeak_ng_SetRandSeed(ctypes.c_long(NOISE_SEED)), "a seed")
        yield library, data_path
        _check(library.espeak_Terminate(), "the end of synthesis")
    finally:
        _ctypes.dlclose(library._handle)


def _installed_paths() -> tuple[Path, Path]:
    """Finds the library and its data in the installed wheel."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise EspeakError(
            "mini-CoVoST is spoken by eSpeak NG, which is not installed. Install it with\n"
            "    pip install espeakng-loader==0.2.4\n"
            "(GPL-3.0; only this demo corpus needs it)."
        ) from error
    data_path = Path(espeakng_loader.get_data_path())
    if len(str(data_path).encode()) > MAX_DATA_PATH:
        raise EspeakError(
            f"eSpeak NG takes data paths of at most {MAX_DATA_PATH} bytes, and its data lie in "
            f"{data_path}. Put the virtual environment at a shorter path."
        )
    return Path(espeakng_loader.get_library_path()), data_path


def _check_variant(voice: str, data_path: Path) -> None:
    """Refuses an unknown variant, which eSpeak NG would silently replace by the plain voice."""
    _, plus, variant = voice.partition("+")
    if plus and not (data_path / "voices" / "!v" / variant).is_file():
        raise EspeakError(f"eSpeak NG has no variant {variant!r} (voice {voice!r}).")


def _check(code: int, what: str) -> None:
    """Raises unless an eSpeak NG function returned EE_OK."""
    if code != 0:
        raise EspeakError(f"eSpeak NG refused {what}: it returned {code}.")
