# Everything a developer runs. Each target makes its own environment in .venv first; a second run starts at once.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?=
export PYTHON
BIN := .venv/bin
RUN := $(BIN)/python -m
# Named after the folder, so that an environment that was copied or moved along is made anew.
READY := .venv/.ready$(subst /,-,$(CURDIR))

# Branch coverage that each group of floors must reach, in percent.
PURE := bot/core/*,bot/formats/*,bot/render/*,bot/config/*
PURE_COVERAGE ?= 100

# One worker a core, four at most: the tests are many small processes (git, programs of runs) as it is. Hypothesis draws the
# same examples each time (its profile `ci`); pytest by hand draws new ones.
PYTEST_WORKERS ?= auto
PYTEST_ARGS ?=

.PHONY: help env demo test lint walls types services unit coverage format docs golden bench wheel requirements changelog clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements/dev.txt pyproject.toml .ci/bootstrap
	@sh .ci/bootstrap && touch $@

env: $(READY) ## make the environment in .venv
	@:

demo: $(READY) ## run the main job on a small world in a folder, and tell what happens
	@$(BIN)/saasbot demo

test: $(READY) ## lint, types, walls, then the tests with coverage
	@$(MAKE) lint
	@$(MAKE) unit

lint: $(READY) ## ruff, mypy --strict and the import walls
	@$(RUN) ruff check --quiet --output-format concise .
	@$(RUN) ruff format --check --quiet --output-format concise .
	@$(MAKE) types
	@$(MAKE) walls

types: $(READY)
	@$(RUN) mypy --no-error-summary bot
	@$(RUN) mypy --no-error-summary --config-file tests/mypy.ini tests

walls: $(READY)
	@mkdir -p .build
	@$(BIN)/lint-imports --no-logo >.build/walls.txt || { cat .build/walls.txt; echo "walls: an import crosses a floor; see docs/architecture.md" >&2; exit 1; }

services: ## bring the servers that some tests talk to, where that may be done
	@sh .ci/services

unit: $(READY) services ## the tests alone, e.g. make unit PYTEST_ARGS="tests/core -k soak"
	@$(RUN) pytest --numprocesses=$(PYTEST_WORKERS) --maxprocesses=4 --dist=worksteal --hypothesis-profile=ci --cov $(PYTEST_ARGS)
	@test -n "$(PYTEST_ARGS)" || $(MAKE) coverage

# Silent where the floor is reached, so that the last line of `make test` is pytest's own.
coverage: $(READY)
	@mkdir -p .build
	@$(RUN) coverage report --include='$(PURE)' --fail-under=$(PURE_COVERAGE) >.build/pure-coverage.txt 2>&1 \
		|| { cat .build/pure-coverage.txt >&2; echo "coverage: core, formats, render and config need $(PURE_COVERAGE) %" >&2; exit 1; }

format: $(READY) ## let ruff format and fix what it can
	@$(RUN) ruff check --quiet --fix . ; $(RUN) ruff format --quiet .

docs: $(READY) ## write the generated pages under docs/ again
	@$(RUN) tests.docs.generate

golden: $(READY) ## write the expected outputs of the golden tests again; read the difference before you commit
	@SAASBOT_UPDATE_GOLDEN=1 $(RUN) pytest -q -p no:cacheprovider -k golden tests

bench: $(READY) ## the measurements of tests/bench on a generated repository
	@$(BIN)/python tests/bench/run.py

wheel: $(READY) ## build the wheel into a temporary folder and look inside
	@$(BIN)/python .ci/check_wheel.py

requirements: $(READY) ## pin and hash all requirements again
	@command -v $(BIN)/uv >/dev/null || $(RUN) pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --all-extras $(UPGRADE) pyproject.toml requirements/dev.in -o requirements/dev.txt

changelog: $(READY) ## show what the fragments in changelog.d/ will become
	@$(RUN) towncrier build --draft --version next

clean: ## remove .venv and everything that tools leave behind
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov dist .build
