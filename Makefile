# Everything runs in .venv, which the first target that needs it creates. `make help` lists the targets.
#   make demo TORCH=cpu     takes a build of torch without CUDA: a third of the disk. It stays until another is asked for.

PYTHON ?= python3
BIN := .venv/bin
DEMO := .venv/.installed-demo
INSTALLED := .venv/.installed

# The results were measured with the first; of the second PyPI has no build for Linux.
TORCH ?= $(or $(patsubst .venv/.torch-%,%,$(wildcard .venv/.torch-*)),gpu)
BUILD_gpu := 'torch == 2.11.*' 'torchaudio == 2.11.*'
BUILD_cpu := 'torch == 2.13.*' 'torchaudio == 2.11.*' --extra-index-url https://download.pytorch.org/whl/cpu
BUILD := $(or $(BUILD_$(TORCH)),$(error TORCH is cpu or gpu, not $(TORCH)))

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test check-gpu mutate fuzz lint format typecheck docs notebooks clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(INSTALLED)  ## create .venv and install the package with all that tests, pages and checks need

.venv/.torch-$(TORCH):
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11)' \
	  || { echo "minvae_pyro needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (the first time a few minutes, mostly PyTorch)"
	@$(BIN)/python -m pip install --quiet --upgrade --no-deps $(BUILD)
	@rm -f .venv/.torch-*
	@touch $@

# The stamps are newer than the requirements as long as nothing has to be installed.
$(DEMO): setup.cfg pyproject.toml .venv/.torch-$(TORCH)
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(INSTALLED): setup.cfg pyproject.toml .venv/.torch-$(TORCH)
	@$(BIN)/python -m pip install --quiet --editable '.[web,test,docs,notebooks,dev]'
	@touch $(DEMO) $@

demo: $(DEMO)  ## a minute: train on a synthetic talking mouth, enhance it, write sound and figure into demo/
	$(BIN)/minvae demo --output demo --overwrite

test: $(INSTALLED)  ## run the tests, two at a time
	$(BIN)/pytest -n 2 --dist loadfile

check-gpu: $(INSTALLED)  ## on a machine with a GPU: does it do what the CPU does, and how fast
	$(BIN)/pytest -q tests/minvae_pyro/inference/test_devices.py tests/minvae_pyro/training/test_devices.py
	$(BIN)/python -m benchmarks.gpu

mutate: $(INSTALLED)  ## put 300 faults into the mathematical heart and count those that the tests notice
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run.py $(MUTATE)

# every part runs, whatever another one found
fuzz: $(INSTALLED)  ## damage checkpoints, folders, results, media, tables; kill commands; fill disks: minutes, seeds fixed
	@failed=0; for part in 'checkpoints 0 200' 'folders 0 100' 'kept 0 100' 'media 0 510' 'interruptions 0 4'; do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.$$part || failed=1; done; \
	  OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.tables --seed 0 --count 300 || failed=1; exit $$failed

lint: $(INSTALLED)  ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory typecheck

format: $(INSTALLED)  ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy finds modules by folder alone, so it reads a tree of links laid out as the package installs. Run from
# within, it prints paths that need no more than the two moved packages put back.
typecheck: $(INSTALLED)
	@rm -rf build/typecheck && mkdir -p build/typecheck/minvae_pyro
	@ln -s $(CURDIR)/minvae_pyro/* $(CURDIR)/models $(CURDIR)/guides build/typecheck/minvae_pyro
	@ln -s $(CURDIR)/examples $(CURDIR)/benchmarks build/typecheck
	@cd build/typecheck && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml \
	  --cache-dir $(CURDIR)/.mypy_cache minvae_pyro benchmarks $(wildcard examples/*.py) | sed -E 's#^minvae_pyro/(models|guides)/#\1/#'

docs: $(INSTALLED)  ## build the pages into build/docs, and run the lessons for them
	$(BIN)/python -m sphinx --quiet -W --keep-going docs build/docs
	@echo build/docs/index.html

notebooks: $(INSTALLED)  ## run the lessons as notebooks, written with figures and sound into build/notebooks
	$(BIN)/python docs/_extensions/notebooks.py build/notebooks

clean:  ## remove what make has built, .venv included
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
