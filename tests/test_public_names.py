"""What recipes import from the package itself: all there, documented, and nothing else loaded."""

import re
import subprocess
import sys

import pytest

import vmsp_brain
from tests.helpers.commands import ROOT


@pytest.mark.parametrize("name", vmsp_brain.__all__)
def test_every_public_name_is_there_and_documented(name):
    item = getattr(vmsp_brain, name)
    assert item.__name__ == name
    own = vars(item)["__doc__"] if isinstance(item, type) else item.__doc__
    assert own, "not the docstring of a parent"
    assert not own.startswith(f"{name}("), "not what a dataclass makes up"
    assert own.strip().splitlines()[0].endswith((".", ","))


def test_other_names_are_refused_and_all_are_listed():
    with pytest.raises(AttributeError, match="module 'vmsp_brain' has no attribute 'nonsense'"):
        vmsp_brain.nonsense  # noqa: B018
    assert set(vmsp_brain.__all__) <= set(dir(vmsp_brain))


@pytest.mark.slow
def test_a_module_alone_does_not_load_speechbrain():
    code = "import sys, vmsp_brain.method.step; sys.exit('speechbrain' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_readmes_example_of_the_library_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [example] = [block for block in blocks if "Hierarchy(" in block]
    assert "from vmsp_brain import" in example
    found: dict = {}
    exec(example, found)
    assert found["hierarchy"].levels[0].names == ["asr/en", "asr/fr"]
