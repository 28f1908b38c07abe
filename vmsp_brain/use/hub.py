"""An exported model becomes a repository on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def check_repository(name: str) -> None:
    """Refuse what is no name of a repository: nothing need be exported to find that out.

    Raises
    ------
    ValueError
        The message says what is expected.

    Example
    -------
    >>> check_repository("ann/my_model")
    >>> check_repository("my_model")
    Traceback (most recent call last):
    ...
    ValueError: --push: found 'my_model', expected owner/model, such as ann/my_model.
    """
    try:
        validate_repo_id(name)
        why = "" if "/" in name else "."
    except HFValidationError as error:
        why = f": {error}"
    if why:
        raise ValueError(f"--push: found {name!r}, expected owner/model, such as ann/my_model{why}")


def push_model(folder: str | Path, repository: str) -> str:
    """Make the repository if there is none, and put the model's files into it in one commit.

    Whose account it is the hub's client knows (``hf auth login``, or ``HF_TOKEN``). A repository
    that is there stays as public or private as it is.

    Arguments
    ---------
    folder : Path
        An exported model.
    repository : str
        As ``owner/model``.

    Returns
    -------
    str
        Its address.

    Raises
    ------
    ConnectionError
        If the hub is not reached, or does not take the model; the folder stays as it is.
    """
    api = HfApi()
    try:
        made = api.create_repo(repository, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="A model of vmsp_brain"
        )
    except Exception as error:  # of whichever library the hub's client speaks HTTP with
        raise ConnectionError(
            f"The hub does not take {folder} as {repository} ({type(error).__name__}: "
            f"{str(error).strip()}). The folder is whole. Log in with `hf auth login`, then "
            f"`hf upload {repository} {folder}` tries again."
        ) from error
    return str(made)
