# One obvious command per chore; `make help` lists them.
# PYTHON chooses the interpreter for .venv: make demo PYTHON=/opt/python3.12/bin/python3

# 3.13 comes last: the embedded Redis server has no wheel for it, and is installed or built.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
    if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
    then echo $$p; break; fi; done)
ENVIRONMENT ?= CartPole-v1
VENV := .venv
BIN := $(VENV)/bin
DEMO_INSTALLED := $(VENV)/.installed-demo
INSTALLED := $(VENV)/.installed-all

# Commands of the environment first, also for the processes that tests start.
WITH_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
PYTEST := $(WITH_VENV) python -m pytest
# Unit tests start no server and no process. Their files stay whole on one process of pytest, since they
# share fixtures. Tests of real processes measure time: two at once at most, and given out singly, because
# the longest lie in few files; those of a group, which share what takes long to start, go to one. Tests of
# what something costs run beside them, since coverage would take a part of it. Named servers are shared and
# emptied between tests, which then run one after the other.
UNIT := not integration and not faults and not learning and not cases and not timing
IN_PARALLEL := -n logical --maxprocesses 8 --dist loadfile
# From 3.12 on Python itself reports which lines ran, at next to no cost; tracing them costs a third more.
COVERAGE = $(shell $(BIN)/python -c 'import sys; print("COVERAGE_CORE=sysmon" * (sys.version_info >= (3, 12)))')
TWO_AT_ONCE := $(if $(TINYQUEUE_TEST_BROKER_URL)$(TINYQUEUE_TEST_REDIS_URL),,-n 2 --dist loadgroup)

.PHONY: help demo install check test unit faults kills cases services lint format bench docs wheel \
    constraints clean
.NOTPARALLEL:
# Containers set it. Each of the hundreds of processes that tests start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(DEMO_INSTALLED)  ## install what training needs, and train CartPole-v1 on embedded services
	$(WITH_VENV) tinyqueue train $(ENVIRONMENT)
	@echo "for these commands in this shell, first:  . $(BIN)/activate"

install: $(INSTALLED)  ## everything, for development

check: $(INSTALLED)  ## lint, types, import contracts and the quick unit tests: before a commit
	@$(MAKE) --no-print-directory lint & lint=$$!; \
	$(PYTEST) $(IN_PARALLEL) -q -m "$(UNIT) and not slow"; quick=$$?; wait $$lint && exit $$quick

test: $(INSTALLED) services lint  ## everything: all unit tests with coverage, then real servers
	$(COVERAGE) $(PYTEST) $(IN_PARALLEL) -m "$(UNIT)" --cov --cov-report=
	@echo "unit tests run $$($(BIN)/coverage report --format=total) % of all lines; by file: coverage report"
	$(PYTEST) $(TWO_AT_ONCE) -m "not ($(UNIT))"

unit: $(INSTALLED)  ## all unit tests, on all cores
	$(PYTEST) $(IN_PARALLEL) -m "$(UNIT)"

faults: $(INSTALLED) services  ## 300 random faults against two experiments; SEED=N repeats one
	$(WITH_VENV) python tests/faults/campaign.py --faults 300 $(if $(SEED),--seed $(SEED)) --json faults.json

kills: $(INSTALLED) services  ## the fault tests alone, with 50 kills of a whole learner instead of 5
	TINYQUEUE_TEST_KILLS=50 $(PYTEST) -m faults

cases: $(INSTALLED)  ## what users bring: every case, and a hundred of a grammar of faults
	$(WITH_VENV) python tests/cases/table.py
	$(WITH_VENV) python tests/cases/hundred.py --count 100 --seed 1

services:  ## RabbitMQ and Redis for the tests: installed when missing, not started
	@sh scripts/install-services.sh

lint: $(INSTALLED)  ## ruff, format, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) services  ## CartPole through real RabbitMQ and Redis, 30 s
	$(WITH_VENV) python benchmarks/throughput.py cartpole --seconds 30 --json

docs: $(INSTALLED)  ## docs/_build/html
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W -q docs docs/_build/html

wheel: $(INSTALLED)  ## dist/tinyqueue-*.whl, for the containers in workers/
	$(BIN)/python -m build --wheel --outdir dist

constraints:  ## resolve constraints.txt anew; needs uv
	uv pip compile --universal --python-version 3.11 --all-extras --upgrade --quiet \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    pyproject.toml --output-file constraints.txt

clean:  ## remove .venv and everything built
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache \
	    .import_linter_cache .hypothesis .coverage .coverage.*

$(BIN)/python:
	@echo "Creating a virtual environment in $(VENV)."
	@sh scripts/make-venv.sh "$(PYTHON)" $(VENV)

$(DEMO_INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV); TensorFlow is a large download the first time."
	@$(BIN)/python -m pip install -c constraints.txt -e '.[learner,local,plot]'
	@sh scripts/redis-for-demo.sh $(BIN)/python
	@touch $@

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV); TensorFlow is a large download the first time."
	@$(BIN)/python -m pip install -c constraints.txt -e '.[all,dev]'
	@touch $(DEMO_INSTALLED) $@
