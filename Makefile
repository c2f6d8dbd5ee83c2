# Each target sets up what it needs: .venv with the pinned requirements, and the pose model.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
POSE_MODEL := .cache/models/pose_landmarker_full.task

# Stages are started as `python stages/...`: that must be the python of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro pull push test lint bench bench-recipes bench-ablation wheel-check clean

repro: $(INSTALLED) $(POSE_MODEL)
	dvc repro

# From and to DVC's remote: see docs/sharing.md. S3 is asked five times for anything as it is.
pull push: export AWS_MAX_ATTEMPTS ?= 1

pull: $(INSTALLED)
	@dvc pull --run-cache || { echo "error: not everything came. See the end of docs/sharing.md." >&2; exit 1; }
	dvc repro --dry --allow-missing

push: $(INSTALLED)
	@dvc push --run-cache || { echo "error: not everything was pushed. See the end of docs/sharing.md." >&2; exit 1; }

# One process more than the two cores of CI: a fifth of their time tests wait. Threads of torch that
# wait for each other leave the core to others: twice as fast where there are more of them than cores.
test: lint $(POSE_MODEL)
	OMP_WAIT_POLICY=passive pytest -n 3

lint: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy

bench: $(INSTALLED) $(POSE_MODEL)
	python -m benchmarks

# CSV: a folder with train/*.csv and test/*.csv of landmarks.
bench-recipes: $(INSTALLED)
	@test -n "$(CSV)" || { echo "usage: make bench-recipes CSV=FOLDER" >&2; exit 1; }
	python -m benchmarks.recipes "$(CSV)"

# CSV: one table of landmarks.
bench-ablation: $(INSTALLED)
	@test -n "$(CSV)" || { echo "usage: make bench-ablation CSV=FILE.csv" >&2; exit 1; }
	python -m benchmarks.ablation "$(CSV)"

# Installs the wheel from the package index into empty environments: 7 GB, for minutes.
wheel-check: $(INSTALLED) $(POSE_MODEL)
	YOLOLSTM_NETWORK=1 pytest tests/test_package.py

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(INSTALLED): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(POSE_MODEL): | $(INSTALLED)
	yololstm models fetch --backend mediapipe
