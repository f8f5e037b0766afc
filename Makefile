# make demo      the main job on a real host in a sandbox, from nothing
# make test      all tests, from nothing
# The rest is for working on opstasks.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

.PHONY: help setup demo demo-down test check lint types unit docs lock bench soak fuzz canary faults clean
.DEFAULT_GOAL := help

help:
	@grep -E '^# make' Makefile | sed 's/^# //'

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml scripts/setup
	@scripts/setup $(VENV)
	@touch $@

demo: setup
	@scripts/demo

demo-down: setup
	@$(BIN)/inv sandbox.down --images

# Everything: lint, format, types, and all tests, those on real hosts included.
test: lint types
	@scripts/test

# Everything that needs no host: one or two minutes.
check: lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-onhost.ini

unit: setup
	@scripts/terminals
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not sandbox and not story"

# Compares opstasks with other tools, which get their own environment: about 20 minutes.
# ROWS="list jobs" measures only these rows.
bench: setup
	@$(BIN)/python -m bench $(ROWS)

# 20,000 batches with every core busy; fails if an answer is late.
soak: setup
	@$(BIN)/python -m bench.soak

# Puts secrets on a host and runs every task with every combination of flags, also with a Python that
# is killed. No secret may appear anywhere else. 7 to 20 minutes.
canary: setup
	@OPSTASKS_CANARY=full $(BIN)/pytest tests/canary

# Every pair of the fault matrix on two real hosts, then three operators on both for 20 minutes.
# FAULTS=PATTERN runs the pairs whose name matches, without the operators. About an hour and a half;
# a run that was stopped goes on where it was (.faults/results.jsonl).
faults: setup
	@$(BIN)/python -m tests.faults

# 10,000 generated answers and texts for each reader and parser, the time that large ones take, and
# new examples for every other test of a property. The coverage-guided fuzzer is installed into .fuzz
# (scripts/fuzz). CPU time: 30 minutes for the readers, 2 for the parsers, 9 for the other tests,
# 2 guided by coverage, and at least 5 for the large texts.
fuzz: setup
	@scripts/fuzz $(EXAMPLES)

docs: setup
	$(BIN)/python scripts/gen_docs.py

# Needs uv. Writes the hashes of every allowed file, for all platforms.
lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) .fuzz .faults .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
