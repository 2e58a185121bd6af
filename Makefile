# make run   sets everything up and runs the demo      make test  sets everything up and runs the tests
PYTHON ?= python3
# GPU machines: make env TENSORFLOW='tensorflow[and-cuda]==2.21.0'
TENSORFLOW ?=
ENV := .venv
BIN := $(ENV)/bin
ORACLES := .venv-oracles
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help env run test test-fast test-slow test-browser chromium test-oracles test-slurm crate lint format schema changelog clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(ENV)/.done ## set up the environment in .venv

$(ENV)/.done: envs/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "hypercurve needs Python 3.11, 3.12 or 3.13; say which with: make $(or $(MAKECMDGOALS),env) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(ENV)
	$(BIN)/pip install --quiet --requirement envs/lock.txt
	$(if $(TENSORFLOW),$(BIN)/pip uninstall --quiet --yes tensorflow-cpu && $(BIN)/pip install --quiet '$(TENSORFLOW)')
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: env ## run the demo: config/experiments/demo.yaml to tables, figures and a report
	snakemake
	@echo "Report: results/demo/report.html   Table: results/demo/comparison.csv   Figures: results/demo/figures/"
	@echo "All experiments that config/config.yaml lists: results/report.html"

test: test-fast test-slow ## run the tests: the fast ones, then all others

test-fast: env ## run the tests of a minute: nothing that trains a network, starts Snakemake, MPI or a browser
	pytest -n 2 --dist loadfile -m 'not slow'

test-slow: env
	pytest -n 2 --dist loadfile -m slow

test-browser: env chromium ## look at reports in a real browser, at the width of a desk and of a phone
	pytest tests/test_report_browser.py

chromium:
	@for name in chromium chromium-browser google-chrome chrome; do command -v $$name >/dev/null && exit 0; done; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		{ echo "no chromium here, and Debian's cannot be installed: reports are not looked at in a browser" >&2; exit 1; }

test-oracles: $(ORACLES)/.done ## compare decisions with those of other libraries, in an environment of their own
	PYTHONPATH=workflow $(ORACLES)/bin/python -m pytest tests/oracles

# What the libraries need beyond the decisions that are compared (PyTorch, XGBoost) is left out, hence no dependencies.
$(ORACLES)/.done: envs/oracles.txt
	$(PYTHON) -m venv $(ORACLES)
	$(ORACLES)/bin/pip install --quiet --no-deps --requirement envs/oracles.txt
	@touch $@

# The validator wants another version of rich than the rest, so it has an environment of its own.
crate: env ## hold an archive to the public validator of RO-Crates
	test -x $(ENV)-crate/bin/rocrate-validator || \
		{ $(PYTHON) -m venv $(ENV)-crate && $(ENV)-crate/bin/pip install --quiet roc-validator==0.13.0; }
	ROCRATE_VALIDATOR_PYTHON=$(abspath $(ENV)-crate/bin/python) pytest tests/test_archive.py -k crate

SLURM ?= tests/slurm
test-slurm: env ## install and start a Slurm on this Debian machine (as root), run the workflow on it and disturb it
	python tests/slurm/cluster.py install
	pytest $(SLURM)

lint: env ## check style and types
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow/Snakefile rules
	snakemake --lint

format: env ## lay out the code
	ruff check --fix --select I .
	ruff format .
	snakefmt Snakefile workflow/Snakefile rules

schema: env ## write anew what follows from the code: the JSON schema of experiment files, tables of searchers and stoppers, captions of figures
	hypercurve schema --output config/experiment.schema.json
	python tests/rule_tables.py
	python -c 'from hypercurve.analysis.figures import captions; print(captions(), end="")' > rules/captions/figure.rst

changelog: env ## show what changelog.d/ brings; with VERSION=0.2.0, put it into CHANGELOG.md
	towncrier build $(if $(VERSION),--yes,--draft) --version $(or $(VERSION),next)

clean: ## remove the results, but not the environment
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake
