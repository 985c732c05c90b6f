# make evolve        install what a run needs, and evolve for five to seven minutes
# make test          install what the tests need, and run them
# make notebooks     execute the notebooks; ARGS=--store writes their outputs into them
# make lint          formatting, style, types and the order of imports; of the report's scripts where npm is found
# make release-check builds sdist and wheel into dist, and checks both
# make docs          the documentation site, into docs/_build/html; warnings are errors
# make test-newest   the tests that touch JAX, Flax, Orbax and TFDS, with the newest JAX, on Python 3.13 or 3.12
PYTHON ?= python3
VENV ?= .venv
# For example: make evolve ARGS="--seed 1 --lanes 4"
ARGS ?=
# Tests that run at once.
JOBS ?= auto
# A file's tests stay together, since they share fixtures; tests/conftest.py puts the files that take long first.
SPREAD = -n $(JOBS) --dist loadfile --no-loadscope-reorder
# The newest JAX is not served for Python 3.11.
NEWEST_PYTHON ?= $(shell .ci/newest-python)
NEWEST_VENV ?= .venv-newest
# Ray is another matter: it takes long, and does not change with JAX.
NEWEST_TESTS = tests/data tests/environment tests/execution tests/layers tests/networks tests/reports tests/spaces \
	tests/storage tests/session/test_run.py tests/test_api.py --ignore tests/execution/test_ray.py

PAGE = .ci/page

PIP = bin/pip --disable-pip-version-check --quiet install --constraint

.PHONY: evolve test test-newest notebooks lint lint-page docs release-check

evolve: $(VENV)/.run
	$(VENV)/bin/jaxevo run --preset demo --report $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(SPREAD) $(ARGS)

notebooks: $(VENV)/.dev
	$(VENV)/bin/python .ci/notebooks.py $(ARGS)

test-newest: $(NEWEST_VENV)/.dev
	$(NEWEST_VENV)/bin/python -m pytest $(SPREAD) $(NEWEST_TESTS) $(ARGS)

release-check: $(VENV)/.dev
	PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS) .ci/release

docs: $(VENV)/.docs
	$(VENV)/bin/python -m sphinx -M html docs docs/_build -W --keep-going --nitpicky --quiet $(ARGS)
	@echo "open docs/_build/html/index.html"

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@if .ci/has-node; then $(MAKE) --no-print-directory lint-page; \
	else echo "skipped: types and style of the report's scripts, since npm with Node.js 20 or later is not found"; fi

lint-page: $(PAGE)/node_modules/.installed
	npm --prefix $(PAGE) run --silent check

$(PAGE)/node_modules/.installed: $(PAGE)/package-lock.json
	npm --prefix $(PAGE) ci --no-audit --no-fund --silent
	@touch $@

$(VENV)/.run: pyproject.toml constraints.txt
	@echo "installing jaxevo into $(VENV) (a minute or two)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/$(PIP) constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(VENV)/$(PIP) constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	$(VENV)/$(PIP) constraints.txt --editable '.[docs]'
	@touch $@

$(NEWEST_VENV)/.dev: pyproject.toml constraints-newest.txt
	@test -n "$(NEWEST_PYTHON)" || { echo "neither Python 3.13 nor 3.12 is found: set NEWEST_PYTHON"; exit 1; }
	@echo "installing jaxevo with the newest JAX into $(NEWEST_VENV) (a minute or two)"
	$(NEWEST_PYTHON) -m venv $(NEWEST_VENV)
	$(NEWEST_VENV)/$(PIP) constraints-newest.txt --editable '.[dev]'
	@touch $@
