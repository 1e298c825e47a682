# SPDX-License-Identifier: Apache-2.0
# Every job of the project. The first one that needs it makes .venv; VENV=/path uses an environment of your own.

VENV ?= .venv
PYTHON ?= python3
EXTRAS ?= model,diffusers,explore,formal,dev
PRESET ?= paper
BUILD ?= build
JOBS ?= 2

VIDA = $(VENV)/bin/vida
READY = $(VENV)/.vida-ready

# Libraries that start a thread a core would fight with the jobs that run side by side.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
export VIDA_BUILD ?= $(abspath $(BUILD))

.DEFAULT_GOAL := all
.PHONY: all help setup test regress lint verilog sim synth report clean distclean

all: setup ## the whole path: simulations, synthesis, quality, and build/report (default)
	$(VIDA) run

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the environment in .venv

# --no-compile: what is never imported is not compiled, which is most of it.
$(READY): pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --no-compile --disable-pip-version-check -e '.[$(EXTRAS)]'
	touch $@

test: setup ## quick tests and lint of the sources
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -P -m pytest -n $(JOBS)

regress: setup ## every proof; at least a million outputs of the Verilog against the law, over many configurations
	$(VIDA) prove --preset tiny
	$(VIDA) regress

lint: setup ## ruff on the sources; Verilator and slang on the generated Verilog
	$(VENV)/bin/ruff check .
	$(VIDA) lint --preset $(PRESET)

verilog: setup ## generate PRESET (default: paper) into build/verilog
	$(VIDA) generate --preset $(PRESET) -o $(BUILD)/verilog/$(PRESET)

sim: setup ## every cocotb bench, on the captured vectors and on random ones
	$(VIDA) simulate

synth: setup ## area and critical path of PRESET, block by block
	$(VIDA) synthesize --preset $(PRESET)

report: setup ## write build/report again from the latest results
	$(VIDA) report

clean: ## delete results; keep the environment and the compiled simulators
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name sim-cache ! -name tools -exec rm -rf {} + 2>/dev/null || true

distclean: ## delete the environment and everything built
	rm -rf $(VENV) $(BUILD) .pytest_cache .ruff_cache
