# Two commands matter: `make demo` and `make test`. Both set everything up first.

# The first Python that both exists and runs (a version manager's shim may exist and not run).
IS_FIT := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	$$python $(IS_FIT) >/dev/null 2>&1 && { echo $$python; break; }; done)
BIN := .venv/bin
DEMO_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup check test test-slow test-long demo up down dbt-docs screenshots clean lock

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: ## make .venv with the pinned packages, the project and the jars; nothing when up to date
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or 3.12 runs here: install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi
	@$(PYTHON) -m infra.bootstrap

check: setup ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test: setup ## everything that fits into a coffee break
	@$(BIN)/pytest -m "not slow and not long"

test-slow: setup ## the rest; no slow test at all (pytest's exit code 5) is no failure
	@$(BIN)/pytest -m slow || [ $$? -eq 5 ]

test-long: setup ## kills and rebuilds: minutes each, and better alone on the machine
	@$(BIN)/pytest -m long

demo: setup ## run the webtoon pipeline on simulated input; KEEP=1 leaves the services running
	@$(BIN)/userflow demo --seconds $(DEMO_SECONDS) $(if $(KEEP),--keep)

up: setup ## start the embedded Kafka, PostgreSQL and Redis
	@$(BIN)/userflow up

down: setup ## stop them; the data stays
	@$(BIN)/userflow down

dbt-docs: setup ## dbt's page of all models and their columns; the services run already
	@$(BIN)/python -m infra.dbt_docs

screenshots: setup ## take the pictures of the docs: a stack of its own, simulated input, Chromium
	@$(BIN)/python -m infra.screenshots

clean: ## stop the services, remove .venv and caches; the data in .userflow stays
	@if [ -x $(BIN)/userflow ]; then $(BIN)/userflow down; fi
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

lock: ## pin requirements.in again, for every platform and both Pythons, without addresses
	@$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	@.venv/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --quiet requirements.in --output-file requirements.lock
	@rm -rf .venv/lock
