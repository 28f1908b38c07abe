"""The recipe's commands as a user runs them, with a model that trains in seconds."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from tests.helpers.forked import Forked, Script

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "recipes" / "CoVoST"
TINY = [
    "--d_model=16",
    "--nhead=4",
    "--d_ffn=32",
    "--conformer={num_layers: 1, d_ffn: 32, front_end_channels: 4, n_mels: 40}",
    "--dynamic_batching=False",
    "--batch_size=2",
    "--ssl_batch_size=2",
    "--warmup_steps=2",
    "--number_of_epochs=2",
    "--num_workers=0",
    "--test_search={beam_size: 2, max_decode_ratio: 0.3}",
    "--valid_search={max_decode_ratio: 0.3}",
]


def command(script: str, yaml_file: str, data: Path, out: Path, *more: str) -> list[str]:
    """A command line; a later option takes the place of an earlier one of the same key.

    One without a value, such as ``--conformer=``, takes it away.
    """
    options = [f"--data_folder={data}", f"--output_folder={out}", *TINY, *more]
    by_key = {option.partition("=")[0]: option for option in options}
    by_key = {key: option for key, option in by_key.items() if not option.endswith("=")}
    paths = COMMANDS / script, ROOT / "hparams" / yaml_file
    return [sys.executable, *map(str, paths), *by_key.values()]


@dataclass
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


def call(main: Callable[[list[str]], None], *words, check: bool = True) -> Done:
    """Run a command's ``main`` here, which saves starting Python."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code or 0
    assert code == 0 or not check, err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


def train(*arguments, check: bool = True) -> Done:
    """`run` of train.py, in this process."""
    from train import main  # here, for it imports everything

    def leave_an_empty_log(_config: str, overrides: dict) -> None:
        Path(overrides["handlers"]["file_handler"]["filename"]).touch()

    with pytest.MonkeyPatch.context() as patch:  # a process of its own may log as it likes
        patch.setattr("speechbrain.utils.logger.setup_logging", leave_an_empty_log)
        patch.setattr(sys, "excepthook", sys.excepthook)
        try:
            return call(main, *command("train.py", *arguments)[2:], check=check)
        except Exception as error:
            if check:
                raise
            return Done(1, "", str(error))


def run(*arguments, check: bool = True) -> Done:
    """Run a command that takes an experiment file, in a process of its own."""
    return run_script(*command(*arguments)[1:], check=check)


def run_script(script: str | Path, *words, check: bool = True, **options) -> Done:
    """Run a script in a process of its own; options are those of a `Script`."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        code = Forked(Script([str(script), *map(str, words)], out, err, **options)).wait()
        done = Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def last_parameters(out: Path) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint."""
    folder = max((out / "save").glob("CKPT*"))
    tensors = {}
    for part in ("encoder", "objectives", "encoder_optimizer", "heads_optimizer", "hierarchy"):
        saved = torch.load(folder / f"{part}.ckpt", weights_only=True)
        leaves, _ = torch.utils._pytree.tree_flatten_with_path(saved)
        tensors |= {f"{part}{path}": leaf for path, leaf in leaves if torch.is_tensor(leaf)}
    return tensors
