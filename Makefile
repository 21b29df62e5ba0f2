# Everything runs in .venv, which the first target makes. PYTHON picks the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt
PIP := $(BIN)/python $(INSTALL)
PARITY := $(VENV)-parity
PEERS := $(VENV)-peers
RUN ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-isa parity lint types audit licences bench bench-quick bench-check bench-peers docs site clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The pinned torch first: whatever comes after finds it and takes no other build.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[dev]'
	touch $@

demo: $(VENV)/.demo  ## set up, train ReACGAN on real handwritten digits (minutes), score it
	$(BIN)/reacgan train digits/reacgan --out $(RUN)
	$(BIN)/python examples/score_digits.py $(RUN)

# Beside the main environment, which other people's libraries must not touch.
$(PARITY)/.parity: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python $(INSTALL) torch
	$(PARITY)/bin/python $(INSTALL) -e '.[parity]'
	touch $@

test: $(VENV)/.dev  ## set up and run the tests
	$(BIN)/python -m pytest -n auto -m 'not slow and not gpu'

test-slow: $(VENV)/.dev  ## also the tests that take minutes
	$(BIN)/python -m pytest -n auto -m 'slow and not gpu'

# oneDNN's and PyTorch's kernels of processors without AVX-512, then of those without AVX2.
KERNELS := -n auto -m 'kernels and not slow and not gpu' $$(grep -rl --include='*.py' 'mark\.kernels' tests)
test-isa: $(VENV)/.dev  ## tests of gradients with kernels of older processors (a minute)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/python -m pytest $(KERNELS)
	ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default $(BIN)/python -m pytest $(KERNELS)

parity: $(PARITY)/.parity  ## compare scores with those of other libraries (minutes)
	REACGAN_PARITY=1 OMP_NUM_THREADS=1 $(PARITY)/bin/python -m pytest tests/parity

coverage: $(VENV)/.dev  ## tests with line and branch coverage
	$(BIN)/python -m coverage run -m pytest -m 'not slow and not gpu'
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report --skip-covered

lint: $(VENV)/.dev  ## style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev  ## strict types
	$(BIN)/mypy

audit: $(VENV)/.dev  ## known vulnerabilities of all that is installed, where a service can be reached
	$(BIN)/python tools/audit.py

licences: $(VENV)/.dev  ## fail on a dependency that an MIT package cannot require
	$(BIN)/python tools/licences.py --check

bench: $(VENV)/.dev  ## all benchmarks (25 minutes), then docs/performance.md
	$(BIN)/python benchmarks/all.py

bench-quick: $(VENV)/.dev  ## the same with fewer cases and turns (5 minutes)
	$(BIN)/python benchmarks/all.py --quick

bench-check: $(VENV)/.dev  ## compare ratios of a quick run with the committed ones
	$(BIN)/python benchmarks/check.py

# Old packages that want tensorflow and torchvision: without what they ask for, and beside ours.
$(PEERS)/.peers: constraints.txt benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(INSTALL) torch numpy
	$(PEERS)/bin/python $(INSTALL) --no-deps -r benchmarks/peers/requirements.txt
	touch $@

bench-peers: $(PEERS)/.peers $(VENV)/.dev  ## other packages' training steps beside ours
	$(BIN)/python benchmarks/peers/compare.py

docs: $(VENV)/.dev  ## write the pages anew that are made from the code
	$(BIN)/python tests/cli_help.py
	$(BIN)/python tests/methods_page.py
	$(BIN)/python tools/configuration_page.py
	$(BIN)/python tools/api_page.py
	$(BIN)/python tools/reproducing_page.py
	$(BIN)/python tools/licences.py

site: $(VENV)/.dev  ## build the documentation into site/, links checked, no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo site/index.html

clean:  ## remove the environment and caches
	rm -rf $(VENV) $(PARITY) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .coverage* site
