# Two commands for a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check clean

demo: $(VENV)/.installed
	mkdir -p demo
	$(BIN)/hyenadna embed --fasta test_data/tiny.fa --bed test_data/regions.bed --offline \
	    -o demo/regions.h5ad --force
	@echo "wrote demo/regions.h5ad"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
