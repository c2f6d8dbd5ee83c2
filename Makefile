# Each target sets up what it needs: .venv with the pinned requirements, and the pose model.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
POSE_MODEL := .cache/models/pose_landmarker_full.task

# Stages are started as `python stages/...`: that must be the python of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test lint bench clean

repro: $(INSTALLED) $(POSE_MODEL)
	dvc repro

test: lint $(POSE_MODEL)
	pytest -n 2

lint: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy

bench: $(INSTALLED) $(POSE_MODEL)
	python -m benchmarks

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(INSTALLED): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(POSE_MODEL): | $(INSTALLED)
	yololstm models fetch
