# make demo | test | test-long | check | fix | bench | proto | lock     (needs make and Python 3.11 to 3.14, nothing else)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first that runs, is of a supported version and can make a virtual environment.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet install --constraint $(LOCK)

.PHONY: help
help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.run.stamp  ## run the shop
	@$(BIN)/sagakit demo $(ARGS)

.PHONY: bench
bench: $(VENV)/.run.stamp $(if $(DB),$(VENV)/.dev.stamp)  ## measure; JSON=file writes the numbers, HISTORY=n sets the length of the log, DB=postgresql measures on a server of its own
	@$(if $(filter postgresql,$(DB)),$(BIN)/python -m tests.servers postgresql -- )$(BIN)/sagakit bench \
		$(if $(DB),--db $(if $(filter postgresql,$(DB)),{url},$(DB))) \
		$(if $(JSON),--json $(JSON)) $(if $(HISTORY),--history $(HISTORY)) $(ARGS)

.PHONY: test
test: $(VENV)/.dev.stamp  ## run the tests, in five minutes; ARGS="-k name" narrows them
	@$(BIN)/python -m pytest --numprocesses auto -m "not long" $(ARGS)

.PHONY: test-long
test-long: $(VENV)/.dev.stamp  ## run the others: on PostgreSQL, Kafka and Valkey, and with processes that are killed
	@$(BIN)/python -m pytest --numprocesses auto -m long $(ARGS)

.PHONY: simulate
simulate: $(VENV)/.run.stamp  ## simulate; SEEDS=n how many, SEED=n from which one (else others each time)
	@$(BIN)/python -m sagakit.testing.simulation --with sagakit.demos.simulated:SUBJECTS $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev.stamp  ## workers under fire over PostgreSQL; SECONDS=n how long, SEED=n draws the same disturbances
	@$(BIN)/python -m tests.chaos $(if $(filter-out undefined,$(origin SECONDS)),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: check
check: $(VENV)/.dev.stamp  ## lint, format, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

.PHONY: fix
fix: $(VENV)/.dev.stamp  ## mend what can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

PROTO_PACKAGE := sagakit/demos/shop/grpc/generated
.PHONY: proto
proto: $(VENV)/.dev.stamp  ## make the shop's gRPC code anew, of its .proto files
	$(BIN)/python -m grpc_tools.protoc -I$(PROTO_PACKAGE)=src/sagakit/demos/shop/grpc/protos \
		--python_out=src --pyi_out=src --grpc_python_out=src \
		$(foreach name,inventory order payment,$(PROTO_PACKAGE)/$(name).proto)

.PHONY: lock
lock: $(VENV)/.dev.stamp  ## pin anew what pyproject.toml asks for; ARGS=--upgrade takes newer versions
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--no-header --quiet --output-file $(LOCK) $(ARGS)

.PHONY: dev
dev: $(VENV)/.dev.stamp  ## the virtual environment with everything the other targets need

$(VENV)/.made.stamp:
	@test -n "$(PYTHON)" || { echo "sagakit needs Python 3.11 to 3.14 with venv; set PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run.stamp: $(VENV)/.made.stamp pyproject.toml $(LOCK)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.dev.stamp: $(VENV)/.made.stamp pyproject.toml $(LOCK)
	$(PIP_INSTALL) --editable '.[dev,grpc,kafka,otel,postgres,redis]'
	@touch $@ $(VENV)/.run.stamp

.PHONY: clean
clean:  ## remove the virtual environment and the caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis dist
