"""The environment a run was made in, for whoever wants to repeat it."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import torch


def describe_environment() -> str:
    """Python, the packages that it sees, the code's revision, the devices.

    SpeechBrain's own description asks the first ``pip`` of the PATH, which may be another Python's.
    """
    packages = sorted(
        (f"{package.name}=={package.version}" for package in importlib.metadata.distributions()),
        key=str.lower,
    )
    parts = {
        "Python": f"{sys.version}\n{sys.executable}\n{platform.platform()}",
        "Packages": "\n".join(dict.fromkeys(packages)),  # the first one found is the one imported
        "Revision": revision(),
        "Device": _device(),
    }
    return "\n".join(f"{title}\n{'=' * len(title)}\n{text}\n" for title, text in parts.items())


def revision() -> str:
    """Of the code that runs, wherever it is started."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{folder} is in no git repository, or there is no git"
    return done.stdout.strip()


def _device() -> str:
    if not torch.cuda.is_available():
        return "no GPU"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return "\n".join([f"CUDA {torch.version.cuda}, ROCm {torch.version.hip}", *names])
