# make train      everything from a bare machine (Python 3.11) to test WER and BLEU on mini-CoVoST
# make test       everything from a bare machine to the test suite's result
# make test-fast  those tests that start no process
# make recipes    every recipe of the paper on mini-CoVoST, and a report of all of them (2 hours)
# make install    the set-up that all need
# make docs       the documentation's site, in docs/_build/html; the schema of experiment files
# make lint       ruff's format and lint, mypy's types
# make clean      removes what the others made

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
PIP_OPTIONS := --quiet --no-cache-dir --disable-pip-version-check
INSTALLED := $(VENV)/.installed
# Caches stay inside the checkout.
export XDG_CACHE_HOME := $(CURDIR)/.cache
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib

CORPUS := data/mini_covost/mini_covost.json

.PHONY: install train recipes test test-fast docs lint clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-hf.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --requirement requirements.txt --requirement requirements-dev.txt
	$(VENV)/bin/pip install $(PIP_OPTIONS) --no-deps --editable .
	touch $@

$(CORPUS): | $(INSTALLED)
	$(VENV)/bin/python recipes/CoVoST/make_mini_covost.py data/mini_covost

TRAIN := $(VENV)/bin/python recipes/CoVoST/train.py
RECIPES := uas usa joint vs_msp vc_msp two_stage by_language

train: $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml

# More epochs than make train has: orders that put less weight on recognition learn later.
RECIPE := --number_of_epochs=12 --training_steps=1500

recipes: $(RECIPES:%=results/recipes/%/results.json)
	$(VENV)/bin/python recipes/CoVoST/compare_orders.py $(^D) --output results/recipes/comparison

results/recipes/uas/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml $(RECIPE) --output_folder=$(@D)

results/recipes/usa/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/mini.yaml $(RECIPE) --order=USA --output_folder=$(@D)

results/recipes/%/results.json: | $(INSTALLED) $(CORPUS)
	$(TRAIN) hparams/$*.yaml --base=mini.yaml $(RECIPE) --output_folder=$(@D)

# On all cores, a file's tests together in the order of their names: those that train come first.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadscope --no-loadscope-reorder

# The linters have one core's work: beside the tests', and both must pass.
LINTED := $(VENV)/lint.log

test: $(INSTALLED)
	@$(MAKE) --no-print-directory lint > $(LINTED) 2>&1 & lint=$$!; \
	$(PYTEST); tests=$$?; wait $$lint; linted=$$?; cat $(LINTED); exit $$((tests || linted))

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow"

# What the site needs is installed here alone.
DOCS_INSTALLED := $(VENV)/.docs_installed

$(DOCS_INSTALLED): requirements-docs.txt | $(INSTALLED)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --requirement requirements-docs.txt
	touch $@

docs: $(DOCS_INSTALLED)
	$(VENV)/bin/python -m vmsp_brain.run.options.reference hparams/schema.json
	rm -rf docs/_build docs/api
	$(VENV)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	$(VENV)/bin/python -m pytest -q tests/docs/test_site.py

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .cache data results docs/_build docs/api
