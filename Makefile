# `make demo` and `make test` set everything up on a fresh machine and then do what their names say.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Processes that run tests.
JOBS ?= 2
# Tests of a file stay together, for they share what is made once for them. One thread each: as many as there are cores
# in each process take half as long again. Compiled modules are kept even where Python is told not to, for hundreds of
# tests start processes of their own. A process that died is not replaced: pytest-xdist 3.8 would wait for ever at the end.
TESTS = env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile \
  --max-worker-restart 0
OLDEST := .venv-oldest
AUDIT := .venv-audit
# Apache-2.0; in an environment of its own, for the product needs none of it.
AUDITOR := pip-audit==2.10.1
UNLOADED := tests?|testing|sympy|networkx|OpenGL|debugpy|pip|mypy|timm|torchmetrics|huggingface_hub|_inductor|_dynamo|onnx

.DEFAULT_GOAL := help
.PHONY: help demo test lint check-slow check-guards check-oldest audit bench demo-bundle system clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(READY)  ## set up, predict the demo slide, and leave pictures of the real window
	$(BIN)/amkd demo --screenshot

test: lint  ## set up, lint, and run all tests (real windows under a virtual screen)
	@bash -c '$(MAKE) --no-print-directory run-tests'

.PHONY: run-tests
run-tests: $(READY)
	$(TESTS) -m "not slow"

check-slow: $(READY)  ## cohort-scale checks, too slow for every change
	$(TESTS) -m slow --timeout 3600 -o faulthandler_timeout=3700

# In copies of the tracked files; the checkout itself stays as it is.
check-guards: $(READY)  ## take the guard against each fault out of a copy of the code, and see its test fail
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python scripts/check_guards.py --jobs $(JOBS)

# An own environment of 8 GB: the oldest torch is published for GPUs only. What deprecation old releases warn of, the
# newest ones have mended.
check-oldest: BIN := $(OLDEST)/bin
check-oldest:  ## all tests on the oldest libraries that setup.cfg admits (fetches gigabytes)
	@scripts/system_packages.sh
	$(PYTHON) -m venv $(OLDEST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary \
	  -c constraints-oldest.txt -e '.[viewer,encoders,distributed,dev]' 'napari[pyqt6]'
	$(TESTS) -m "not slow" -o filterwarnings=default

audit:  ## ask a database of advisories about every pinned version (needs the network; error 3: it could not be asked)
	@$(PYTHON) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check '$(AUDITOR)' || \
	  { echo "$(AUDITOR) could not be installed, so nothing is known of the pinned versions; try again with a network."; exit 3; }
	@$(AUDIT)/bin/python scripts/audit.py

bench: $(READY)  ## measure the speed and memory claims; each script prints a table of ratios
	@for script in patch_reading patch_grid pathway_encoder "training_speed --bags 24"; do \
	  echo "== $$script"; set -- $$script; (cd benchmarks && ../$(BIN)/python $$1.py $${@:2}) || exit 1; done

demo-bundle: $(READY)  ## train assets/demo/demo.amkd again on a freshly simulated cohort
	$(BIN)/python scripts/make_demo_bundle.py

lint: $(READY)  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2
	$(BIN)/lint-imports

system:  ## install (as root on Debian) or name the system packages for windows
	@scripts/system_packages.sh

# One stamp: a changed requirement or pin installs again, anything else does not.
$(READY): setup.cfg constraints.txt scripts/system_packages.sh
	@scripts/system_packages.sh
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "AMKD Viewer needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt --no-build-isolation -e '.[viewer,dev]' 'napari[pyqt6]'
	@# On all cores; pip itself compiles on one. What nothing here loads, half of it, is left out. A file of a package that
	@# does not compile is that package's own affair.
	@$(BIN)/python -m compileall -qq -j 0 -x '/($(UNLOADED))/' $(VENV)/lib || true
	@touch $@

clean:  ## remove what make made
	rm -rf $(VENV) $(OLDEST) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache demo_output
