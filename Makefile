# make demo       train on built-in data, export, verify, serve, send a request
# make test       lint, types, and the tests that take seconds
# make test-all   all tests, and those of the blocks and the labs on JAX too: CI runs this
# make types      type errors of the whole package, by mypy, without a build
# make dev        install, and lay the links that editors and mypy follow (see pyproject.toml)
# make clean      remove everything that the other targets made

SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
BLOCKS := tests/layers tests/optimizers tests/test_activations.py tests/test_backprop.py tests/test_every_block.py \
          tests/test_examples.py tests/test_gradients.py tests/test_initializers.py tests/test_losses.py \
          tests/test_schedules.py tests/interpretability

.PHONY: demo test test-all lint types dev clean

demo: $(INSTALLED)
	$(BIN)/kerasfound demo

test: lint types
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

# Empty XLA_FLAGS: labs compute long enough to be worth compiling well, unlike the other tests (tests/conftest.py).
test-all: lint types
	$(BIN)/pytest -n 2 --dist loadgroup --durations 20
	KERAS_BACKEND=jax $(BIN)/pytest -n 2 --dist loadgroup -k "not a_wrong_block" $(BLOCKS)
	KERAS_BACKEND=jax XLA_FLAGS= $(BIN)/pytest -n 2 --dist loadgroup -k "not a_wrong_block" tests/labs

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# `recipes/`, `export/` and `serving/` are sub-packages of `kerasfound`; a type checker sees this only in the linked tree.
# mypy reports paths of the linked tree; sed turns them into paths of the source tree.
types: dev
	set -o pipefail; $(BIN)/mypy | sed -E 's#^build/dev/##; s#^kerasfound/(recipes|export|serving)/#\1/#'

dev: $(INSTALLED)
	rm -rf build/dev
	mkdir -p build/dev/kerasfound
	ln -s $(CURDIR)/kerasfound/* $(CURDIR)/recipes $(CURDIR)/export $(CURDIR)/serving build/dev/kerasfound/

clean:
	rm -rf .venv build runs models

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
