"""What the benchmark of the sampler measures is an epoch's batches."""

import math

from tests.benchmarks import sampler

ENGLISH = round(2000 * sampler.HOURS["en"] / sum(sampler.HOURS.values()))


def test_an_epoch_is_a_pass_over_the_largest_language_and_durations_save_padding(tmp_path):
    sampler.make_manifests(tmp_path, rows=2000)
    fixed, dynamic = (sampler.measure(tmp_path, dynamic_batching=way) for way in (False, True))
    assert fixed["batches"] == math.ceil(ENGLISH / (sampler.DRAWS * 32))
    assert dynamic["padding_of_english"] < 0.2 * fixed["padding_of_english"]
