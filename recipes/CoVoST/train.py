#!/usr/bin/env python3
"""Trains one speech encoder for multilingual recognition, translation and self-supervision on
CoVoST 2 with VM-MSP, then tests the best checkpoint.

    python recipes/CoVoST/train.py hparams/uas.yaml --data_folder=/data/covost

The YAML file declares everything; any of its keys can be overridden on the command line. A run that
was stopped goes on where it was when the same command is given again.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vmsp_brain import threads

threads.set_wait_policy()  # before PyTorch is loaded

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main

from corpus.experiment import prepare_corpus
from vmsp_brain import processes
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.loading import load_data
from vmsp_brain.data.vocabularies import load_tokenizers, train_tokenizers
from vmsp_brain.files import write_whole
from vmsp_brain.run.comet import add_comet
from vmsp_brain.run.configuration import check_run_folder, save_configuration
from vmsp_brain.run.environment import describe_environment
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import LOGGING, RunFolder
from vmsp_brain.run.init_from import adopt_tokenizers, check_earlier_run, start_from_earlier_run
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.user_errors import one_message
from vmsp_brain.watch.parameter_table import parameter_table
from vmsp_brain.watch.plots import save_run_figures


def main(words: list[str]) -> None:
    """Prepare, train and test what the command line says."""
    experiment, run_opts = open_experiment(words)
    run_opts = processes.join_group(run_opts)
    run = RunFolder(experiment.document()["output_folder"])
    with run.locked() if if_main_process() else nullcontext():
        train_and_test(run, experiment, run_opts)


def train_and_test(run: RunFolder, experiment: ExperimentFile, run_opts: dict[str, Any]) -> None:
    """Go on with the run, or begin it, and test its best checkpoint."""
    run_on_main(check_run_folder, args=[run, experiment])
    hparams = experiment.load()
    sb.create_experiment_directory(run.folder, log_config=LOGGING, save_env_desc=False)
    run_on_main(write_whole, args=[run.environment, describe_environment()])
    run_on_main(save_configuration, args=[run, experiment])
    run_on_main(check_earlier_run, args=[hparams])
    run_on_main(prepare_corpus, args=[hparams])
    run_on_main(adopt_tokenizers, args=[hparams])
    run_on_main(train_tokenizers, args=[hparams])

    tokenizers = load_tokenizers(hparams)
    data = load_data(hparams, tokenizers)
    brain = VMSPBrain(
        modules=hparams["modules"],
        hierarchy=hparams["hierarchy"],
        tokenizers=tokenizers,
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    run_on_main(print, args=[parameter_table(hparams["encoder"], hparams["objectives"])])
    run_on_main(print, args=[threads.set_number(brain.modules)])
    start_from_earlier_run(hparams)
    brain.fit(
        hparams["epoch_counter"],
        data["train"].dataset,
        data["dev"].dataset,
        train_loader_kwargs=data["train"].loader_kwargs,
        valid_loader_kwargs=data["dev"].loader_kwargs,
    )
    brain.evaluate(
        data["test"].dataset,
        **brain.primary_metric(),
        test_loader_kwargs=data["test"].loader_kwargs,
    )
    run_on_main(add_comet, args=[run, hparams, str(brain.device)])
    run_on_main(brain.monitor.write_hyperparameters)
    run_on_main(save_run_figures, args=[hparams["output_folder"]])
    run_on_main(print, args=[_whats_next(run)])


def _whats_next(run: RunFolder) -> str:
    """Where a run's results are, and what can be done with it."""
    command, language = f"python {Path(sys.argv[0]).parent}", run.settings["languages"][0]
    return f"""
Scores      {run.scores}
Hypotheses  {run.tests}, beside their references
Figures     {run.figures}
Watch       tensorboard --logdir {run.tensorboard}
Test again  {command}/evaluate.py {run.folder} --split dev --output {run.folder}_dev
Export      {command}/export.py {run.folder} my_model
Use         {command}/transcribe.py speech.mp3 --language {language} --model {run.folder}"""


if __name__ == "__main__":
    with one_message():
        main(sys.argv[1:])
