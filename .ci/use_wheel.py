"""What a user does with an installed wheel, beside copies of `recipes` and `hparams` alone.

Trains the minimal recipe on noise, exports the run, and uses the model by Python and by command.
"""

import csv
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import soundfile

import vmsp_brain
from vmsp_brain import SpeechTranslator, export_run

SCRIPTS = Path(sysconfig.get_path("scripts"))
TEXTS = ("one morning of the week", "every evening in town", "a quiet house by the sea")


def main() -> None:
    """All of it, in this folder."""
    installed = Path(vmsp_brain.__file__)
    assert installed.is_relative_to(sysconfig.get_path("purelib")), f"{installed}: not the wheel's"
    data = Path("data")
    data.mkdir()
    for language in ("en", "fr"):
        write_manifest(data, language)
    recipe = Path("recipes/minimal")
    run(
        sys.executable, recipe / "train.py", recipe / "minimal.yaml", "--data_folder=data",
        "--languages=[en,fr]", "--output_folder=run", "--number_of_epochs=1", "--batch_size=2",
        "--ssl_batch_size=2",
    )  # fmt: skip
    export_run("run", "model")
    model, clip = SpeechTranslator.from_hparams(source="model"), data / "fr0.wav"
    text = model.transcribe_file(str(clip), "fr")
    said = run(SCRIPTS / "vmsp-transcribe", clip, "--language=fr", "--model=model")
    assert text in said, (text, said)
    run(SCRIPTS / "vmsp-evaluate", "run", "--split=dev", "--output=dev")
    for command in ("vmsp-compare", "vmsp-demo"):
        run(SCRIPTS / command, "--help")
    print(f"vmsp_brain {installed.parent}: trained, exported, transcribed {text!r}")


def write_manifest(folder: Path, language: str) -> None:
    """Ten clips of noise, a second each."""
    noise = np.random.default_rng(0)
    with (folder / f"{language}.csv").open("w", newline="", encoding="utf-8") as file:
        columns = "ID duration wav language transcription target_language translation speaker"
        manifest = csv.DictWriter(file, columns.split(), restval="")
        manifest.writeheader()
        for number in range(10):
            name = f"{language}{number}"
            soundfile.write(folder / f"{name}.wav", noise.uniform(-0.1, 0.1, 16_000), 16_000)
            row = {"ID": name, "duration": 1.0, "wav": f"$data_root/{name}.wav"}
            text = f"{TEXTS[number % len(TEXTS)]} {name[:2]}"
            manifest.writerow({**row, "language": language, "transcription": text})


def run(*words: str | Path) -> str:
    """Run a command; what it printed."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    main()
