# make train      everything from a bare machine (Python 3.11) to test WER and BLEU on mini-CoVoST
# make test       everything from a bare machine to the test suite's result
# make test-fast  those tests that start no process and compile nothing
# make test-demo  the page to try a model, in Chromium, which the system has to have
# make test-wheel   a wheel, used in an empty environment
# make test-lowest  test-fast with the lowest dependencies that the library takes; test-newest: the newest
# make test-readme  what the README says, command by command, in a clone (an hour)
# make study      all recipes and baselines on mini-CoVoST with three seeds, and a report (hours)
# make install    the set-up that all need
# make docs       the documentation's site, in docs/_build/html; the tutorial's notebook; the schema of experiment files
# make lint       ruff's format and lint, mypy's types
# make clean      removes what the others made
#
# OPTIONS=--number_of_epochs=1 gives the training of make train, and those of test-readme, more options.

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
PIP_OPTIONS := --quiet --no-cache-dir --disable-pip-version-check --no-compile
INSTALLED := $(VENV)/.installed
DEPENDENCIES := --requirement requirements.txt
# Caches stay inside the checkout.
export XDG_CACHE_HOME := $(CURDIR)/.cache
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
# What is compiled is kept, whatever the environment says: tests start a hundred processes.
export PYTHONDONTWRITEBYTECODE :=

CORPUS := data/mini_covost/mini_covost.json

.PHONY: install train study test test-demo test-fast test-lowest test-newest test-readme test-wheel docs lint clean

# What is used of the packages is compiled by importing it, in a third of the time that all of them take.
COMPILED := vmsp_brain.use.export, vmsp_brain.watch.report, torch.utils.tensorboard, torch._dynamo,\
	transformers.models.wav2vec2.modeling_wav2vec2, transformers.models.whisper.modeling_whisper,\
	hypothesis, pytest

install: $(INSTALLED)

$(INSTALLED): requirements.txt requirements-lowest.txt requirements-hf.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install $(PIP_OPTIONS) $(DEPENDENCIES) --requirement requirements-dev.txt
	$(VENV)/bin/pip install $(PIP_OPTIONS) --no-deps --editable .
	$(VENV)/bin/python -c "import $(COMPILED)"
	touch $@

$(CORPUS): | $(INSTALLED)
	$(VENV)/bin/python recipes/CoVoST/make_mini_covost.py data/mini_covost

train: $(INSTALLED) $(CORPUS)
	$(VENV)/bin/python recipes/CoVoST/train.py hparams/mini.yaml $(OPTIONS)

study: $(INSTALLED) $(CORPUS)
	$(VENV)/bin/python recipes/CoVoST/study.py recipes/CoVoST/study.yaml --output results/study --jobs 2

# On all cores (tests/conftest.py), a file's tests together in the order of their names: those that train come first.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadscope --no-loadscope-reorder

# The linters have one core's work: beside the tests', and both must pass.
LINTED := $(VENV)/lint.log

test: $(INSTALLED)
	@$(MAKE) --no-print-directory lint > $(LINTED) 2>&1 & lint=$$!; \
	$(PYTEST); tests=$$?; wait $$lint; linted=$$?; cat $(LINTED); exit $$((tests || linted))

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-lowest:
	$(MAKE) test-fast VENV=.venv_lowest DEPENDENCIES="--requirement requirements-lowest.txt"

test-newest:
	$(MAKE) test-fast VENV=.venv_newest DEPENDENCIES=.

test-readme: $(INSTALLED)
	OPTIONS="$(OPTIONS)" $(VENV)/bin/python -m pytest -m readme --capture=no tests/docs/test_readme.py

test-wheel:
	PYTHON="$(PYTHON)" .ci/wheel

# Gradio, and what leads the browser, are installed here alone.
test-demo: requirements-demo.txt | $(INSTALLED)
	$(VENV)/bin/pip install $(PIP_OPTIONS) --requirement $< playwright==1.65.2
	$(VENV)/bin/python -m pytest -q tests/recipes/CoVoST/test_demo.py

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
	rm -rf $(VENV) .venv_lowest .venv_newest .cache data results docs/_build docs/api
