# Two commands for a fresh machine: `make demo` and `make test`. `make help` lists all.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test fast minutes gpu guard tables fmt lint types check reference man docs clean

help: ## list what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/.installed ## embed test_data/regions.bed with the built-in model, offline
	mkdir -p demo
	$(BIN)/hyenadna embed --fasta test_data/tiny.fa --bed test_data/regions.bed --offline \
	    -o demo/regions.h5ad --force
	@echo "wrote demo/regions.h5ad"

test: $(VENV)/.installed-dev ## every test that can run here
	$(BIN)/python -m pytest -n auto --maxprocesses 4

fast: $(VENV)/.installed-dev ## tests that take 90 seconds in all on two cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow and not workflow and not gpu and not shared"

minutes: $(VENV)/.installed-dev ## tests that take minutes each, which make test leaves out
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --minutes -m minutes

gpu: $(VENV)/.installed-dev ## all that a GPU has to show, in nine minutes: a folder of tables
	$(BIN)/python workflows/gpu/measure.py gpu-tables

# The kept table of this kind of processor: ratios hold for a kind, not for a machine.
KEPT := docs/figures/performance/$(shell grep -q avx512f /proc/cpuinfo 2>/dev/null && echo small || echo avx2).tsv
SHORT := 2x128-1k 2x128-32k train-1k train-32k

guard: $(VENV)/.installed ## is a forward pass as fast, against the plain form, as it was?
	$(BIN)/hyenadna benchmark --case 2x128-1k --dtype fp32 --extrapolate 0 --compare $(KEPT) --max-loss 0.33

tables: $(VENV)/.installed ## measure the short cases anew, on a quiet machine: three minutes
	$(BIN)/hyenadna benchmark $(addprefix --case ,$(SHORT)) --repeats 4 --max-seconds 14 --extrapolate 0 \
	    -o $(KEPT) --force

fmt: $(VENV)/.installed-dev ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.installed-dev ## is everything formatted and free of lint?
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python docs/check_prose.py

types: $(VENV)/.installed-dev ## mypy, strict
	$(BIN)/mypy

reference: $(VENV)/.installed-dev ## write docs/reference.md and the Nextflow schema anew
	$(BIN)/python docs/make_reference.py
	$(BIN)/python workflows/nextflow/make_schema.py

man: $(VENV)/.installed ## man pages, in man/man1
	$(BIN)/python docs/make_man.py man/man1

docs: $(VENV)/.installed-docs ## the site, in site/: stops at a broken link, or a tutorial that has changed
	$(BIN)/python docs/run_tutorials.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint types ## lint, types, and are generated files current?
	$(BIN)/python docs/make_reference.py --check
	$(BIN)/python workflows/nextflow/make_schema.py --check

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable '.[docs]'
	touch $@

clean: ## remove what these commands made
	rm -rf $(VENV) demo build dist site man
