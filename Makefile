# make demo       the whole line on built-in data: train, export, verify, serve, ask
# make test       lint, types, and the tests that take seconds
# make test-all   all tests, those of the blocks on JAX too: what CI runs
# make dev        the same install, and the link tree that editors follow (see pyproject.toml)
# make clean      what the others made

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
BLOCKS := tests/layers tests/optimizers tests/test_activations.py tests/test_backprop.py tests/test_every_block.py \
          tests/test_examples.py tests/test_gradients.py tests/test_initializers.py tests/test_losses.py \
          tests/test_schedules.py

.PHONY: demo test test-all lint types dev clean

demo: $(INSTALLED)
	$(BIN)/kerasfound demo

test: lint types
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

test-all: lint types
	$(BIN)/pytest -n 2 --dist loadgroup --durations 20
	KERAS_BACKEND=jax $(BIN)/pytest -n 2 --dist loadgroup $(BLOCKS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Type checkers do not follow the package-dir mapping of an editable install; the unpacked wheel has every room in place.
types: $(INSTALLED)
	rm -rf build
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(BIN)/python -m zipfile --extract build/wheel/*.whl build/unpacked
	cd build/unpacked && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p kerasfound

dev: $(INSTALLED)
	mkdir -p build/dev/kerasfound
	ln -sfn $(CURDIR)/kerasfound/* $(CURDIR)/recipes $(CURDIR)/export $(CURDIR)/serving build/dev/kerasfound/

clean:
	rm -rf .venv build runs models

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
