# make evolve   install what a run needs, and evolve for about five minutes
# make test     install what the tests need, and run them
# make lint     formatting, style, types and the order of imports
PYTHON ?= python3
VENV ?= .venv
# For example: make evolve ARGS="--seed 1 --lanes 4"
ARGS ?=
# Tests that run at once.
JOBS ?= auto

PIP = $(VENV)/bin/pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: evolve test lint

evolve: $(VENV)/.run
	$(VENV)/bin/jaxevo run --preset demo $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/.run: pyproject.toml constraints.txt
	@echo "installing jaxevo into $(VENV) (a minute or two)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) --editable '.[dev]'
	@touch $@
