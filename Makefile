# The doors: `make demo` and `make test` install what is missing, build, and run, on a bare
# Debian 12 or Ubuntu 24.04.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo test wheel sanitize lint tidy gpu bench install clean

PREFIX ?= /usr/local
# 1: with the LLVM library, for CPU targets; 0: without. Not set: if LLVM is there, and then it is
# installed for the tests, and where there is no GPU.
WITH_LLVM ?=
export WITH_LLVM
llvm := -DFMS_LLVM=$(if $(filter 1,$(WITH_LLVM)),ON,$(if $(filter 0,$(WITH_LLVM)),OFF,AUTO))
# The Python package as the tests want it: of this build, in .venv's Python.
python := -DFMS_BUILD_PYTHON=ON -DFMS_FMT_HEADER_ONLY=OFF \
	-DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python
JOBS := $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export CTEST_PARALLEL_LEVEL ?= $(JOBS)
# In CI a clean clone would find nothing there, and headers aren't precompiled with it.
export CMAKE_CXX_COMPILER_LAUNCHER ?= $(if $(CI),,$(shell command -v ccache))
# Where NVRTC is, if it came as a wheel.
export VIRTUAL_ENV := $(CURDIR)/.venv

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what is missing: packages by apt, NVRTC into .venv; WITH_LLVM=1: LLVM too
	@tools/setup.sh

build: setup  ## build the libraries and the program .venv/bin/fms
	cmake --preset release -DFMS_BUILD_TESTS=OFF $(llvm)
	cmake --build --preset release
	@ln -sfn ../../build/release/tools/fms .venv/bin/fms

demo: build  ## specialise, compile, store, load, launch and check kernels: on the GPU, or the CPU
	.venv/bin/fms demo

# Only running the tests takes PyTorch and JAX: they are fetched while the build goes on.
test:  ## build and run all tests, and the sanitizers
	@tools/setup.sh --test-build
	tools/setup.sh --test & fetching=$$!; \
		cmake --preset release -DFMS_BUILD_TESTS=ON $(llvm) $(python) \
			$(if $(CI),-DFMS_WERROR=ON) && cmake --build --preset release; \
		built=$$?; wait $$fetching && exit $$built
	@ln -sfn ../../build/release/tools/fms .venv/bin/fms
	ctest --preset release --label-exclude program
	FMS_TEST_REQUIRE_LLVM=$$(test -e build/release/compiler/llvm/libfms_llvm.so && echo 1) \
		FMS_TEST_REQUIRE_PYTHON=1 FMS_PYTHON=build/release/python \
		.venv/bin/python -m pytest -n $(JOBS) tests
	tools/sanitize.sh asan tsan

wheel:  ## build the Python wheel, and try it in an empty environment of each Python there is
	@tools/setup.sh --test
	@rm -rf build/wheel-dist
	.venv/bin/python -m pip --disable-pip-version-check wheel --no-deps -w build/wheel-dist . \
		$(if $(WITH_LLVM),-C cmake.define.FMS_LLVM=$(if $(filter 1,$(WITH_LLVM)),ON,OFF))
	tools/check_wheel.sh build/wheel-dist/*.whl

sanitize:  ## run the host tests under ASan with UBSan, and the threaded ones under TSan
	@tools/setup.sh --test
	tools/sanitize.sh asan tsan

lint:  ## check format, layering, sizes and words
	@tools/lint.sh

tidy:  ## run clang-tidy 19 or later on the sources
	cmake --preset debug
	run-clang-tidy -quiet -p build/debug '^$(CURDIR)/(compiler|cache|runtime|tools)/.*'

gpu:  ## what a machine with a GPU should run, into build/gpu: tests, benchmarks, tuning, sanitizers
	@tools/setup.sh --test
	cmake --preset release -DFMS_BUILD_TESTS=ON $(llvm) $(python)
	cmake --build --preset release
	tools/gpu.sh build/gpu

bench: build  ## measure the runtime against its floor
	.venv/bin/fms bench

install: build  ## install libraries, headers and the program under PREFIX (/usr/local)
	cmake --install build/release --prefix $(PREFIX)

clean:  ## remove what was built; .venv and the kernel store stay
	rm -rf build
