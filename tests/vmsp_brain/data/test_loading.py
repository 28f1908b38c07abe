"""What an experiment declares of its data fits together."""

import pytest

from vmsp_brain.data.loading import load_data


def test_a_cache_in_processes_that_forget_it_is_refused_before_anything_is_read():
    hparams = {"cache_audio": True, "num_workers": 2}
    with pytest.raises(ValueError, match=r"cache_audio: found True with num_workers: 2"):
        load_data(hparams, {})
