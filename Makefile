# `make repro` runs the whole pipeline, `make test` the tests; each sets up .venv by itself when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Idle OpenMP threads that spin for long steal the cores from the ones that work; those that sleep at once must be
# woken for each of many small layers.
export GOMP_SPINCOUNT := 30000
export GRADIO_ANALYTICS_ENABLED := False
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Without compiled bytecode every stage spends seconds on imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup repro test lint format clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev,demo]"
	touch $@

repro: setup
	python -m pipeline.params
	dvc repro

test: setup
	OMP_NUM_THREADS=1 pytest -q -n 2 --dist loadfile

lint: setup
	ruff check .
	ruff format --check .
	mypy

format: setup
	ruff check --fix .
	ruff format .

clean:
	rm -rf artifacts .dvc/cache .dvc/tmp
