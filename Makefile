# make train   everything from a bare machine (Python 3.11) to test WER and BLEU on mini-CoVoST
# make test    everything from a bare machine to the test suite's result
# make recipes every recipe of the paper on mini-CoVoST (2 hours; 1 with OMP_NUM_THREADS=1 make -j2 recipes)
# make install the set-up that both need
# make lint    ruff's format and lint
# make clean   removes what the others made

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
PIP_OPTIONS := --quiet --no-cache-dir --disable-pip-version-check
INSTALLED := $(VENV)/.installed
# Caches stay inside the checkout.
export XDG_CACHE_HOME := $(CURDIR)/.cache
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib

CORPUS := data/mini_covost/mini_covost.json

.PHONY: install train recipes test lint clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-hf.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --requirement requirements.txt --requirement requirements-dev.txt
	$(VENV)/bin/pip install $(PIP_OPTIONS) --no-deps --editable .
	touch $@

$(CORPUS): | $(INSTALLED)
	$(VENV)/bin/python recipes/CoVoST/make_mini_covost.py data/mini_covost

TRAIN := $(VENV)/bin/python recipes/CoVoST/train.py
RECIPES := usa joint vs_msp vc_msp two_stage by_language efficient

train: $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml

recipes: results/mini/results.json $(RECIPES:%=results/mini_%/results.json)

results/mini/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml

results/mini_usa/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml --order=USA --output_folder=$(@D)

results/mini_efficient/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml --efficient=True --output_folder=$(@D)

results/mini_%/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/$*.yaml --base=mini.yaml --output_folder=$(@D)

test: $(INSTALLED) lint
	$(VENV)/bin/python -m pytest

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) .cache data results
