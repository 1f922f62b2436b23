# make demo   install, and train a model on images that need no download
# make test   install, and run the tests
# make survival   kill trials and grids at many random moments, and see them finish
# make bench  time it against plain loops, Lightning and timm's loader, and write docs/benchmarks.md
# make check  everything that must pass before a change lands
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test survival bench check lint format coverage clean

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
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

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

survival: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m survival $(PYTEST_ARGS)

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest tests/benchmarks --write-page --benchmark-columns=min,median,max,rounds $(BENCH_ARGS)

check: lint test

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
	rm -rf $(VENV) build dist *.egg-info
