"""Running out of memory, said in terms of the batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from speechbrain.dataio.batch import PaddedBatch

from vmsp_brain.audio import SAMPLE_RATE


@contextmanager
def out_of_memory_names_the_batch(source: str, part: PaddedBatch) -> Iterator[None]:
    """In here, running out of memory raises an error that says for which utterances.

    Arguments
    ---------
    source : str
        Whose utterances.
    part : PaddedBatch
        With ``id`` and ``sig``.

    Raises
    ------
    MemoryError
        If a device, or the CPU's allocator, has no memory left.
    """
    try:
        yield
    except RuntimeError as error:
        # The CPU's allocator has no exception of its own.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate" not in str(error):
            raise
        wavs, lengths = part.sig
        raise MemoryError(
            f"Out of memory in a batch of {len(wavs)} utterances of {source}, the longest of "
            f"{wavs.shape[1] / SAMPLE_RATE:.1f} s ({part.id[int(lengths.argmax())]}). Lower "
            "max_batch_length (without dynamic_batching batch_size; of ssl ssl_max_batch_length or "
            "ssl_batch_size), with a larger grad_accumulation_factor in its place, or max_duration."
        ) from error
