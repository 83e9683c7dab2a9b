# Two commands on a fresh machine: `make demo` runs a small search, `make test` runs the linters and the tests that take no patience.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests
export OMP_NUM_THREADS := 1
export PYTHONHASHSEED := random

.PHONY: help demo test test-all lint clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

# torch comes first and by itself, so that a CPU build is taken where pip's configuration offers one.
.venv/ready: pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt torch
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

# Detection and segmentation: mmcv is compiled once (minutes) and its wheel kept outside of the clone, see .ci/mmcv_wheel.
.venv/stack: .venv/ready .ci/mmcv_wheel
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt setuptools wheel packaging ninja psutil
	wheel=$$(.ci/mmcv_wheel $(BIN)/python $$(grep '^onedl-mmcv==' .ci/constraints.txt)) && $(BIN)/pip install --quiet --no-deps --force-reinstall $$wheel
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable '.[dev,mm,onnx]'
	@touch $@

demo: .venv/ready ## search a small space on the CPU for two to three minutes, and report
	$(BIN)/uninas search configs/search/demo.yaml --out runs/demo-$$(date +%Y%m%d-%H%M%S)

lint: .venv/ready ## style, types, import contracts, dead code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

# Three processes on two cores: many tests wait for processes of their own.
PYTEST = UNINAS_STACK=complete $(BIN)/pytest --numprocesses 3 --dist loadgroup

test: .venv/stack lint ## linters, and the tests that are not marked slow; TESTS=tests/uninas for a part
	$(PYTEST) -m "not slow" $(TESTS)

test-all: .venv/stack lint ## linters and all tests, with clusters over ssh, chaos, long trainings
	$(PYTEST) $(TESTS)

clean: ## remove the environment and caches; runs stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
