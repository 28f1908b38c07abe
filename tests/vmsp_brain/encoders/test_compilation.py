"""A compiled encoder takes the same steps."""

import itertools
from functools import partial

import pytest
import torch

from tests.helpers.oracles import assert_close, make_batch, make_brain, step_gradients
from vmsp_brain.encoders.compilation import compile_layers
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.step import GradientStep

CASE = ("UAS", ["en", "fr"], ["fr-en"])


@pytest.mark.slow  # compiles for seconds
@pytest.mark.parametrize(
    ("encoder", "options", "selections"),
    [
        ("conformer", {"num_layers": 1}, [None, ["block_01"]]),
        ("wav2vec2", {}, [None]),
        ("whisper", {}, [["norm"]]),
    ],
)
def test_gradients_are_those_without_compilation(encoder, options, selections):
    torch._dynamo.reset()
    step = partial(GradientStep, selection=LayerSelection(efficient=True))
    plain, compiled = (
        make_brain(*CASE, encoder=encoder, encoder_options=options, gradient_step=step)
        for _ in range(2)
    )
    names = list(compiled.modules.state_dict())
    # The compiler's own backend takes minutes on a CPU; this one differentiates as that does.
    compile_layers(compiled.modules.encoder.layers(), backend="aot_eager", dynamic=True)
    torch._dynamo.utils.counters.clear()
    for selected, seeds in itertools.product(selections, [(1, 2), (3, 4)]):
        for brain in (plain, compiled):
            brain.gradient.selection.selected = selected
            brain.optimizer_step = 1
        expected, found = (
            step_gradients(brain, make_batch(brain, *seeds)) for brain in (plain, compiled)
        )
        assert_close(found, expected)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert list(compiled.modules.state_dict()) == names


@pytest.mark.parametrize("option", [{"jit": True}, {"compile_module_keys": ["objectives"]}])
def test_what_cannot_be_compiled_is_refused(option):
    brain = make_brain(*CASE, **option)
    with pytest.raises(ValueError, match="only the encoder can be compiled"):
        brain._compile()
