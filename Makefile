# The way in. `make help` lists what there is.

PYTHON ?= python3
BIN := .venv/bin
BENCH := .bench-venv/bin
PIP := -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs bench ledger clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.venv/.ready: requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lowland needs Python 3.11 or later, $(PYTHON) is %s: try make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "Setting up .venv (once; a few minutes on a fresh machine) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) install --requirement requirements/lock.txt
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/.ready ## train one energy on digits, ask it six questions, write a report (a minute)
	$(BIN)/lowland train any_part

test: .venv/.ready ## the whole suite; SEED=all draws new random numbers, LOWLAND_DATA names a folder of data sets
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8 --dist=loadfile --quiet -rs

lint: .venv/.ready ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.ready ## pyright on the package
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/.ready ## the site, into site/; fails if a page is not what the ledger says
	$(BIN)/python -m lowland.report.ledger --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

ledger: .venv/.ready ## docs/results.md and docs/gallery.md from results/
	$(BIN)/python -m lowland.report.ledger

.bench-venv/.ready: requirements/bench.txt requirements/lock.txt pyproject.toml
	@echo "Setting up .bench-venv ..."
	@$(PYTHON) -m venv .bench-venv
	@$(BENCH)/python $(PIP) install --requirement requirements/bench.txt --constraint requirements/lock.txt
	@$(BENCH)/python $(PIP) install --no-build-isolation --constraint requirements/lock.txt --editable .
	@touch $@

bench: .bench-venv/.ready ## speed and quality beside other libraries, in an environment of its own
	$(BENCH)/python -m bench

clean: ## environments, caches and the built site; runs/ stays
	rm -rf .venv .bench-venv site build dist .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests bench docs -name __pycache__ -prune -exec rm -rf {} +
