# make train      everything from a bare machine (Python 3.11) to test WER and BLEU on mini-CoVoST
# make test       everything from a bare machine to the test suite's result
# make test-fast  those tests that start no process
# make study      all recipes and baselines on mini-CoVoST with three seeds, and a report (hours)
# make install    the set-up that all need
# make docs       the documentation's site, in docs/_build/html; the tutorial's notebook; the schema of experiment files
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

.PHONY: install train study test test-fast docs lint clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-hf.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --requirement requirements.txt --requirement requirements-dev.txt
	$(VENV)/bin/pip install $(PIP_OPTIONS) --no-deps --editable .
	touch $@

$(CORPUS): | $(INSTALLED)
	$(VENV)/bin/python recipes/CoVoST/make_mini_covost.py data/mini_covost

train: $(INSTALLED) $(CORPUS)
	$(VENV)/bin/python recipes/CoVoST/train.py hparams/mini.yaml

study: $(INSTALLED) $(CORPUS)
	$(VENV)/bin/python recipes/CoVoST/study.py recipes/CoVoST/study.yaml --output results/study --jobs 2

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
	$(VENV)/bin/python docs/notebook.py
	rm -rf docs/_build docs/api
	$(VENV)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	$(VENV)/bin/python -m pytest -q tests/docs/test_site.py

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .cache data results docs/_build docs/api
