# make demo      install, and train a model on images that need no download
# make check     lint, the site and the quick tests: run it before each commit
# make test      all tests
# make lowest    the quick tests with the lowest versions that pyproject.toml allows
# make plain     the wheel without extras, in an environment of its own: train, compare and report
# make survival  kill trials and grids at many random moments, and check that they finish
# make bench     time it against plain loops, Lightning, kornia and more, and write docs/benchmarks.md
# make docs      build the site into build/docs
# make statistics  simulate what bench compare promises, and write docs/statistics.md
# make format    format the code
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
PLAIN := .venv-plain
PYTEST := python -m pytest -n 2 --dist worksteal
QUICK := -m "not slow and not survival"

# The tests start hundreds of processes, each of which would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo check lint docs quick test lowest plain survival bench statistics format coverage clean

help:
	@sed -n '/^PYTHON/q; s/^# //p' Makefile

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing benchbench and PyTorch into $(VENV): this takes some minutes"
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/installed-bench: pyproject.toml $(VENV)/installed-dev
	$(BIN)/pip install --quiet --editable '.[dev,bench]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/bench run alexnet digits --optimizer adam --lr 0.0003 --batch-size 64 --epochs 5
	@echo
	@echo "Look at it:    $(BIN)/mlflow ui"
	@echo "Go on with:    $(BIN)/bench list    $(BIN)/bench run --help"

quick: $(VENV)/installed-dev
	$(BIN)/$(PYTEST) $(QUICK) $(PYTEST_ARGS)

test: $(VENV)/installed-dev
	$(BIN)/$(PYTEST) $(PYTEST_ARGS)

# Old releases warn about newer ones that they meet here: such warnings are no errors of ours. They also lay out --help
# in another way, so that the generated pages are compared with today's releases only.
lowest: $(VENV)/installed-dev
	$(BIN)/uv pip compile --quiet --upgrade --resolution lowest-direct --extra all pyproject.toml --output-file $(VENV)/lowest.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(LOWEST) --constraint $(VENV)/lowest.txt --editable '.[dev]'
	$(LOWEST)/bin/$(PYTEST) $(QUICK) -o filterwarnings= --deselect tests/test_docs.py::test_the_generated_pages_are_fresh $(PYTEST_ARGS)

plain: $(VENV)/installed-dev
	rm -rf build/lib build/plain && mkdir -p build/plain
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/plain .
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PLAIN)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PLAIN) build/plain/*.whl
	cd build/plain && ../../$(PLAIN)/bin/bench run cifar_resnet digits --epochs 1
	cd build/plain && ../../$(PLAIN)/bin/bench run cifar_resnet digits --epochs 1 --seed 1
	cd build/plain && ../../$(PLAIN)/bin/bench compare && ../../$(PLAIN)/bin/bench report -o report.html

survival: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m survival $(PYTEST_ARGS)

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest tests/benchmarks --write-page --benchmark-columns=min,median,max,rounds $(BENCH_ARGS)

statistics: $(VENV)/installed-dev
	PYTHONPATH=tests $(BIN)/python tests/simulations/simulate.py $(STATISTICS_ARGS)

check: lint docs quick

docs: $(VENV)/installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: $(VENV)/installed-dev
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine
	$(BIN)/coverage report

clean:
	rm -rf $(VENV) $(LOWEST) $(PLAIN) build dist *.egg-info
