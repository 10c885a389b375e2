.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env spark sample readout test check lint types layers bench wheel lock clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
SAMPLE := data/sample
SCALE ?= 1

# The first of these that is a Python this package runs on; set PYTHON to choose.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c '$(FITS)' 2>/dev/null && { echo $$p; break; }; done)

help:  ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/.ready  ## Make the environment in .venv, once

$(VENV)/.ready: requirements.lock pyproject.toml
	@if ! "$(or $(PYTHON),false)" -c '$(FITS)' 2>/dev/null; then \
		echo "python3 is $$(python3 --version 2>&1); this package needs Python 3.11, 3.12 or 3.13."; \
		echo "Install one (Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; \
		exit 2; \
	fi
	@echo "making $(VENV) with $$($(PYTHON) --version); the first time takes a minute or two"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "python could not make a virtual environment; on Debian: apt install python3-venv"; \
		rm -rf $(VENV); exit 2; }
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

spark: $(VENV)/.ready-spark  ## Add PySpark to it (needs Java 17 or later)

$(VENV)/.ready-spark: $(VENV)/.ready requirements-spark.lock
	@echo "building PySpark; it has no wheel, so this takes a minute or two"
	@$(PIP) install --require-hashes --no-build-isolation -r requirements-spark.lock
	@touch $@

sample: $(SAMPLE)/truth.json  ## Generate the sample merchant in data/sample

$(SAMPLE)/truth.json: | $(VENV)/.ready
	@$(BIN)/growth sample $(SAMPLE)

readout: env sample  ## Run the A/B readout on the sample; print decision and page
	@$(BIN)/growth readout run abtest_readout -p data=$(SAMPLE) \
		-p experiment_id=home_layout -p as_of=2026-02-28

test: env  ## Run the tests; what is skipped is listed with its reason
	@$(BIN)/pytest

check: lint types layers test  ## Everything CI runs: style, types, layers, tests

lint: env  ## Style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: env  ## mypy (strict) and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright

layers: env  ## Import direction
	@$(BIN)/lint-imports

bench: env  ## Benchmarks, whole (SCALE=0.01 for a smaller run)
	@for bench in bench/[a-z]*.py; do $(BIN)/python $$bench --scale $(SCALE) || exit 1; done

wheel: env  ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

lock: .cache/uv/bin/uv  ## Resolve the dependencies again and pin them
	@$(UV_COMPILE) --extra dev --output-file requirements.lock pyproject.toml
	@$(UV_COMPILE) --extra spark --group spark-build --constraint requirements.lock \
		--output-file requirements-spark.lock pyproject.toml

# universal: one lock for Linux, macOS and Windows, Python 3.11 to 3.13
UV_COMPILE = .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links \
	--upgrade --custom-compile-command "make lock"

.cache/uv/bin/uv:
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python -m pip --disable-pip-version-check -qq install uv

clean:  ## Remove what was made: environment, sample, readouts, caches
	rm -rf $(VENV) $(SAMPLE) readouts build dist .cache .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache
