"""What is said where the page cannot be served."""

import sys

from tests.helpers.commands import call
from vmsp_brain.commands.demo import main


def test_without_gradio_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    done = call(main, "/no/model", check=False)
    assert done.returncode == 1
    assert "pip install gradio" in done.stderr
    assert "requirements-demo.txt" in done.stderr
