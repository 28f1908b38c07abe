"""The corpus of an experiment: made ready as its file declares, and the same when a run goes on."""

from collections.abc import Mapping
from typing import Any

from corpus.prepare import prepare_covost
from corpus.unlabelled import prepare_unlabelled
from vmsp_brain.run.folder import RunFolder


def prepare_corpus(hparams: Mapping[str, Any]) -> None:
    """The manifests that an experiment declares; what is there already is kept.

    A run that has trained goes on with the manifests that it was begun with, or not at all.

    Raises
    ------
    CorpusError
        As `prepare_covost` does.
    """
    run = RunFolder(hparams["output_folder"])
    begun_with = run.read_data() if run.was_trained() else None
    read = prepare_covost(
        hparams["data_folder"],
        hparams["manifest_folder"],
        hparams["languages"],
        hparams["pairs"],
        min_duration=hparams["min_duration"],
        max_duration=hparams["max_duration"],
        drop_faulty_evaluation_rows=hparams["drop_faulty_evaluation_rows"],
        convert_audio=hparams["convert_audio"],
        begun_with=begun_with,
    )
    run.write_data(read)
    if hparams["unlabelled_folders"]:
        prepare_unlabelled(
            hparams["unlabelled_folders"],
            hparams["output_folder"],
            hparams["min_duration"],
            hparams["max_duration"],
        )
