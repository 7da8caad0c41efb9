# Not the build system (that is pyproject.toml and CMakeLists.txt), just the commands that are typed often.
# Every target sets up what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CPP := $(shell find runtimes/native tests/native exporters/c/kernels examples/cpp -name '*.cc' -o -name '*.c' -o -name '*.h')
# The folder with onnxruntime_c_api.h, which pip's package lacks.
ONNXRUNTIME_INCLUDE ?= build/onnxruntime
# Two pytest workers, each with one computing thread, use two cores better than the other way round.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# cmake and ninja come with the environment.
test test-native sanitize bench-native test-aarch64-kernels examples: export PATH := $(CURDIR)/$(BIN):$(PATH)

# Wheels for other machines are built in an environment of their own: it holds a C++ compiler for all of them.
WHEELS := build/wheels-venv
WHEELS_READY := $(WHEELS)/.ready
TARGETS := linux-x86_64 linux-aarch64

# The oldest device: its packages in their lowest versions, and no PyTorch.
LOWEST := build/lowest-venv
LOWEST_TESTS := runtimes native/test_adapter.py native/test_general_adapter.py native/test_library.py native/test_hostile_sizes.py \
	native/test_session_lifetime.py comparing/test_statistics.py \
	benchmarking/test_bench.py benchmarking/test_host.py benchmarking/test_measuring.py \
	test_metadata.py test_onnx_graph.py

.PHONY: help setup demo test test-lowest test-native sanitize bench-native wheel wheels aarch64-kernels test-aarch64-kernels test-aarch64 test-mcu test-windows \
	estimate-aarch64 onnxruntime-headers onnxruntime-web examples docs lint format types clean

help:
	@echo "make demo    train a small network on handwritten digits, export it, run it three ways, compare"
	@echo "make test    all tests                make lint    ruff and clang-format; make types for mypy"
	@echo "make test-lowest   the tests of the device side with the lowest versions of its packages, without PyTorch"
	@echo "make test-native   the C++ tests alone, plain and under sanitizers     make sanitize  only the latter"
	@echo "make bench-native  single kernels beside this host's peak"
	@echo "make wheels        a wheel for each of $(TARGETS); make wheel TARGET=... for one"
	@echo "make test-aarch64-kernels   the C++ tests, compiled for Arm64, on emulated processors"
	@echo "make test-windows  the operator library for Windows, and the examples with it, in Wine"
	@echo "make test-aarch64  the Arm64 wheel on an emulated Arm64 machine, against this one"
	@echo "make test-mcu      generated C on emulated Cortex-M and RISC-V processors"
	@echo "make onnxruntime-web   npm's package, for the tests and the benchmark of web pages"
	@echo "make examples  a C and a C++ program that classify an image with ONNX Runtime"
	@echo "make docs    the API reference from the docstrings, in build/api"
	@echo "make setup   only the environment     make format  apply the formatting that make lint asks for"

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(shell find runtimes/native -name '*.cc' -o -name '*.h' -o -name '*.inc' 2>/dev/null)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(READY)

demo: $(READY)
	$(BIN)/rbnn-deploy demo --out runs/demo

test: $(READY)
	$(PYTEST)

# The tests of the device side, as far as they need no PyTorch, with the lowest versions that pyproject.toml allows.
test-lowest:
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --progress-bar off -c constraints-lowest.txt \
		--config-settings=build-dir=build/lowest -e '.[report]' 'pytest>=8' 'pytest-timeout>=2.3' 'hypothesis>=6.100'
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest $(addprefix tests/,$(LOWEST_TESTS))

# The C++ tests alone, plain and under sanitizers; `make test` runs them too.
test-native: $(READY) sanitize
	cmake -S . -B build/tests -G Ninja -DRBNN_BUILD_TESTS=ON
	cmake --build build/tests
	ctest --test-dir build/tests --output-on-failure

# Addresses, leaks and undefined behaviour; then races. Kernels, and the adapter in a runtime that the tests play.
sanitize: $(READY)
	$(BIN)/pytest -v tests/native/test_sanitized.py

# Single kernels against this host's xor-popcount-add peak; ARGS="--kernel avx2 --layer 64@56".
bench-native: $(READY)
	cmake -S . -B build/bench -G Ninja -DRBNN_BUILD_BENCHMARKS=ON
	cmake --build build/bench --target bench_binary_conv2d
	build/bench/runtimes/native/benchmarks/bench_binary_conv2d $(ARGS)

$(WHEELS_READY): tools/wheels/requirements.txt
	test -x $(WHEELS)/bin/python || $(PYTHON) -m venv $(WHEELS)
	$(WHEELS)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# TARGET is linux-x86_64, linux-aarch64 or windows-x86_64. The first build for a target compiles Zig's C++ library, some
# minutes.
wheel: $(WHEELS_READY)
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" $(WHEELS)/bin/python tools/wheels/build.py $(TARGET)

wheels: $(WHEELS_READY)
	$(MAKE) wheel TARGET="$(TARGETS)"
	$(WHEELS)/bin/python -m pytest -p no:cacheprovider -q tests/wheels

# The C++ tests, compiled for Arm64, under QEMU. The program comes first, for .ci/run: `make test` runs it if it is there.
aarch64-kernels: $(READY) $(WHEELS_READY)
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" $(WHEELS)/bin/python tools/arm64/kernel_tests.py

test-aarch64-kernels: aarch64-kernels
	$(BIN)/pytest tests/aarch64/test_kernels.py

# Needs QEMU and debootstrap, and root once for the latter; says so and skips the tests where they are missing.
test-aarch64: $(READY)
	$(MAKE) wheel TARGET=linux-aarch64
	$(BIN)/python tools/arm64/setup.py --optional dist/rbnn_deploy-*-manylinux_2_28_aarch64.whl
	RBNN_TEST_AARCH64=1 OMP_NUM_THREADS=1 $(BIN)/pytest -s tests/aarch64

# The operator library and the examples for Windows, in Wine.
test-windows: $(READY) $(WHEELS_READY) onnxruntime-headers
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" $(WHEELS)/bin/python tools/windows/programs.py \
		"$$($(BIN)/python -c 'import onnxruntime; print(onnxruntime.__version__)')"
	RBNN_TEST_WINDOWS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -v tests/windows

# Generated C on emulated microcontrollers; the tests say which packages they lack.
test-mcu: $(READY)
	$(BIN)/pytest -v tests/exporters/c/test_microcontrollers.py

# What the NEON kernel should reach: its inner loop and whole layers, executed by QEMU and run on models of cores.
estimate-aarch64: $(WHEELS_READY)
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" $(WHEELS)/bin/python tools/arm64/speed.py
	PATH="$(CURDIR)/$(WHEELS)/bin:$$PATH" $(WHEELS)/bin/python tools/arm64/layers.py $(ARGS)

# What the tests of web pages compare with; they skip that without it.
onnxruntime-web:
	npm install --silent --no-save --prefix build/npm onnxruntime-web@1.30.0

onnxruntime-headers: $(READY)
	$(BIN)/python tools/onnxruntime_headers.py build/onnxruntime $(HEADERS_FLAGS)

# Builds both programs against pip's ONNX Runtime, and runs them on the model that comes with the package.
examples: $(READY) $(if $(filter build/onnxruntime,$(ONNXRUNTIME_INCLUDE)),onnxruntime-headers)
	cmake -S examples/cpp -B build/examples -D ONNXRUNTIME_INCLUDE="$(abspath $(ONNXRUNTIME_INCLUDE))" \
		-D ONNXRUNTIME_LIBRARY="$$(ls $(CURDIR)/$(VENV)/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)"
	cmake --build build/examples
	$(BIN)/python -c "from PIL import Image; Image.effect_noise((32, 32), 90).convert('RGB').save('build/examples/image.ppm')"
	for program in classify classify_c; do build/examples/$$program rbnn_deploy/models/cifar10_resnet20_react_1w1a.onnx \
		"$$($(BIN)/rbnn-deploy library)" build/examples/image.ppm || exit; done
	ONNXRUNTIME_INCLUDE="$(abspath $(ONNXRUNTIME_INCLUDE))" OMP_NUM_THREADS=1 $(BIN)/pytest tests/examples

# The API reference: build/api/index.html, from the docstrings.
docs: $(READY)
	$(BIN)/python tools/api_reference.py build/api

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CPP)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist runs
