# make demo: distil a tiny spiking student on the bundled photographs.  make test: all tests.  Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip

# On shared cores OpenMP's spinning threads cost 15 times the time.
export GOMP_SPINCOUNT := 0

.PHONY: setup demo test lint clean

setup: $(VENV)/ready

# torch first, then the rest without build isolation: BasicSR's build would fetch a second torch of its own.
$(VENV)/ready: setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt torch torchvision "setuptools>=70.1" wheel cython numpy
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	touch $@

demo: $(VENV)/ready
	$(BIN)/python tools/demo.py

test: $(VENV)/ready
	$(BIN)/python -m pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build *.egg-info
