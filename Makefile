# TinyMLPerf by hand: `make` alone lists the commands.
# Needs make and Python 3.11 or newer; everything else goes into .venv, and only there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# One thread for every numerical library, before numpy starts: two BLAS threads on a busy machine
# make the ratio of a model to itself anything between 0.7 and 70.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

# Two of the referee's tests at the same time would share the one core that it keeps itself to; the others
# beside them make both halves equally long.
TIMED := $(patsubst %,tests/autograder/test_%.py,cheats honest referee review walls judge) \
	tests/notebook/test_grading.py tests/notebook/test_nbgrader.py

.DEFAULT_GOAL := help
.PHONY: help compete test lab clean environment

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

compete: $(VENV)/.lab ## set up, run the demonstration competition, write its page
	$(BIN)/python -m tinytorch.compete

test: $(VENV)/.dev ## set up, check style, types, layers and exports, run all tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m tinytorch.export --check
	@echo "$(BIN)/python -m pytest, on two cores: what the referee times beside everything else"
	@$(BIN)/python -m pytest --quiet $(TIMED) >.timed.log 2>&1 & timed=$$!; \
	$(BIN)/python -m pytest --quiet $(TIMED:%=--ignore=%); rest=$$?; \
	wait $$timed; referee=$$?; cat .timed.log; rm -f .timed.log; exit $$((rest | referee))

lab: $(VENV)/.lab ## set up, open the notebook in JupyterLab
	$(BIN)/python -m jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) modules/20_tinymlperf/tinymlperf.ipynb

clean: ## remove caches and build leftovers; .venv stays
	rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find autograder modules tests tinytorch -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# ---------------------------------------------------------------- set-up

# Stamps: installed once, and again when pyproject.toml is newer. [dev] holds all of [lab,fast].
$(VENV)/.lab: pyproject.toml | environment
	$(call install,lab$(comma)fast)
	@touch $@

$(VENV)/.dev: pyproject.toml | environment
	$(call install,dev)
	@touch $(VENV)/.lab $@

comma := ,
define install
	@echo "Installing tinytorch[$(1)] into $(VENV): a minute or two, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]'
endef

environment:
	@if [ -d $(VENV) ]; then $(usable); else $(create); fi

fail = { echo "$(strip $(1))" >&2; exit 1; }

usable = $(BIN)/python -c 'import pip' 2>/dev/null || $(call fail,\
	$(VENV) has no working Python with pip: a set-up was interrupted or Python was upgraded. \
	Remove it (rm -r $(VENV)) and try again.)

# Debian keeps ensurepip in python3-venv; where only pip is there, pip moves itself in.
create = \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || $(call fail,\
		$(PYTHON) is missing or older than Python 3.11: $$($(PYTHON) --version 2>&1). \
		Install a newer one or name it: make PYTHON=python3.12 $(MAKECMDGOALS)); \
	echo "Creating $(VENV) with $$($(PYTHON) --version)."; \
	if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import pip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check pip; \
	else \
		$(call fail,$(PYTHON) has neither venv with ensurepip nor pip. On Debian or Ubuntu: apt install python3-venv); \
	fi
