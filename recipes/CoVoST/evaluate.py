#!/usr/bin/env python3
"""Tests the best checkpoint of a run: WER per language, BLEU per pair, results.json.

    python recipes/CoVoST/evaluate.py hparams/uas.yaml --data_folder=D --output_folder=O

takes the YAML file and the overrides that the run was trained with; only decoding may differ, say
--test_search="{beam_size: 10}".
"""

import sys

import speechbrain as sb
from experiment import load_data, load_tokenizers, make_brain
from experiment_file import ExperimentFile
from run_folder import check_run_folder, check_trained

if __name__ == "__main__":
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    experiment = ExperimentFile(hparams_file, overrides)
    check_run_folder(experiment)
    hparams = experiment.load()
    check_trained(hparams)

    tokenizers = load_tokenizers(hparams)
    data = load_data(hparams, tokenizers)
    brain = make_brain(hparams, tokenizers, run_opts)
    brain.evaluate(
        data["test"].dataset,
        **brain.primary_metric(),
        test_loader_kwargs=data["test"].loader_kwargs,
    )
