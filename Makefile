# make demo: distil a tiny spiking student on the bundled photographs.  make test: all tests.  make coverage: all tests, and
# how much of the package they reach (what CI runs).  make lint: ruff, and mypy for the types.
# make docs: the pages as a site.  make dist: sdist and wheel.
# Each sets up first what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip

# On shared cores OpenMP's spinning threads cost 15 times the time.
export GOMP_SPINCOUNT := 0

PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: setup demo test coverage lint docs dist clean

setup: $(VENV)/ready

# torch first, then the rest without build isolation: BasicSR's build would fetch a second torch of its own.
# BasicSR brings tb-nightly, SpikingJelly tensorboard, which own the same files: here tb-nightly alone is kept.
$(VENV)/ready: setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt torch torchvision "setuptools>=77.0.3,<82" wheel cython numpy
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	$(PIP) uninstall --yes tensorboard tb-nightly
	$(PIP) install --constraint constraints.txt tb-nightly
	touch $@

demo: $(VENV)/ready
	$(BIN)/python tools/demo.py

test: $(VENV)/ready
	$(PYTEST)

coverage: $(VENV)/ready
	$(PYTEST) --cov --cov-fail-under 97

# The package's type hints have no errors; pyproject.toml says what mypy reads and how strictly.
lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

# The pages of docs/ as a site, into site/; a warning is an error. Needs no network.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(VENV)/ready
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist site *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache
