"""VM-MSP for SpeechBrain: one shared speech encoder, many objectives, and a hierarchy among them.

The method is that of *Objective Soups: Multilingual Multi-Task Modeling for Speech Processing*
(Saif, Chen, Cui, Lu, Kingsbury, Chen; NeurIPS 2025, arXiv 2508.09228).

The names of ``__all__`` are what recipes need. Each is imported when it is first asked for, so that
who wants a module alone, such as `vmsp_brain.method.step`, does not load all of SpeechBrain.

Example
-------
From an experiment file, here a run's own, to a trained model:

>>> from vmsp_brain import ExperimentFile, VMSPBrain
>>> from vmsp_brain import load_data, load_tokenizers, train_tokenizers
>>> overrides = {"output_folder": "results/first_steps"}
>>> hparams = ExperimentFile("results/mini/hyperparams.yaml", overrides).load()
>>> train_tokenizers(hparams)
>>> tokenizers = load_tokenizers(hparams)
>>> data = load_data(hparams, tokenizers)
>>> brain = VMSPBrain(hparams["modules"], hparams["hierarchy"], tokenizers, hparams)
>>> brain.fit(
...     hparams["epoch_counter"],
...     data["train"].dataset,
...     train_loader_kwargs=data["train"].loader_kwargs,
...     progressbar=False,
... )
>>> brain.optimizer_step
10
>>> [level.names for level in brain.hierarchy.levels]
[['asr/en', 'asr/fr'], ['st/fr-en'], ['ssl']]
"""

import importlib
from typing import Any

_HOMES = {
    "vmsp_brain.brain": ["VMSPBrain"],
    "vmsp_brain.data.loading": ["load_data"],
    "vmsp_brain.data.manifests": ["manifest_path", "read_manifest"],
    "vmsp_brain.data.vocabularies": ["load_tokenizers", "train_tokenizers"],
    "vmsp_brain.encoders.conformer": ["ConformerEncoder", "conformer_encoder"],
    "vmsp_brain.encoders.speechbrain_model": ["speechbrain_encoder"],
    "vmsp_brain.encoders.wav2vec2": ["Wav2Vec2Encoder"],
    "vmsp_brain.encoders.whisper": ["WhisperEncoder"],
    "vmsp_brain.method.hierarchy": ["Hierarchy", "Level", "hierarchy_in_order"],
    "vmsp_brain.method.layer_selection": ["LayerSelection"],
    "vmsp_brain.method.penalties": ["AdaptivePenalty", "ConstantPenalty", "LinearPenalty"],
    "vmsp_brain.method.step": ["GradientStep"],
    "vmsp_brain.objectives": [
        "AttentionObjective",
        "BestRQObjective",
        "CPCObjective",
        "CTCAttentionObjective",
        "Wav2Vec2Objective",
        "multilingual_objectives",
    ],
    "vmsp_brain.run.configuration": ["check_run_folder", "save_configuration"],
    "vmsp_brain.run.experiment_file": ["ExperimentFile"],
    "vmsp_brain.run.folder": ["RunFolder"],
    "vmsp_brain.run.options.command_line": ["open_experiment"],
    "vmsp_brain.run.user_errors": ["one_message"],
    "vmsp_brain.use.evaluation": ["ModelTest"],
    "vmsp_brain.use.export": ["export_run"],
    "vmsp_brain.use.inference": ["SpeechTranslator"],
    "vmsp_brain.use.loading": ["load_model"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
