# Not the build system (that is pyproject.toml and CMakeLists.txt), just the commands that are typed often.
# Every target sets up what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two pytest workers, each with one computing thread, use two cores better than the other way round.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# cmake and ninja come with the environment.
test test-native bench-native: export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo test test-native bench-native lint format types clean

help:
	@echo "make demo    train a small network on handwritten digits, export it, run it three ways, compare"
	@echo "make test    all tests                make lint    ruff, then make types for mypy"
	@echo "make test-native   the C++ tests alone, plain and under sanitizers"
	@echo "make bench-native  single kernels beside this host's peak"
	@echo "make setup   only the environment     make format  apply ruff's formatting"

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(shell find runtimes/native -name '*.cc' -o -name '*.h' -o -name '*.inc' 2>/dev/null)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(READY)

demo: $(READY)
	$(BIN)/rbnn-deploy demo --out runs/demo

test: $(READY)
	$(PYTEST)

# The C++ tests alone, plain and under sanitizers; `make test` runs them too.
test-native: $(READY)
	cmake -S . -B build/tests -G Ninja -DRBNN_BUILD_TESTS=ON
	cmake --build build/tests
	ctest --test-dir build/tests --output-on-failure
	cmake -S . -B build/sanitized -G Ninja -DRBNN_BUILD_TESTS=ON -DRBNN_SANITIZE=address,undefined
	cmake --build build/sanitized --target rbnn_kernel_tests
	build/sanitized/tests/native/rbnn_kernel_tests

# Single kernels against this host's xor-popcount-add peak; ARGS="--kernel avx2 --layer 64@56".
bench-native: $(READY)
	cmake -S . -B build/bench -G Ninja -DRBNN_BUILD_BENCHMARKS=ON
	cmake --build build/bench --target bench_binary_conv2d
	build/bench/runtimes/native/benchmarks/bench_binary_conv2d $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist runs
