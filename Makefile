# Every target does its own set-up and skips it when nothing changed.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := .stamps
PORT ?= 8000
JOBS ?= auto
SUITE := $(PY) -m pytest -q -n $(JOBS) -m "not browser"
# Tests of compiled kernels: run once more without the compiler, where an index out of bounds is an error and lines count.
KERNELS := tests/trading tests/strategies/test_backtesting.py tests/marketdata/features
# Apart from the suite: the browser's driver keeps an event loop running, in which no other asyncio test can start one.
BROWSER := $(PY) -m pytest -q -n $(JOBS) -m browser tests/browser
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-dev demo serve test types lint check coverage fuzz format smoke bench browser lock clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@touch $@

# torch's build for GPUs, which Linux gets, needs libraries its other builds do not name; the second line brings what is missing.
$(STAMPS)/runtime: requirements.txt $(STAMPS)/venv
	$(VENV)/bin/pip install --quiet --no-deps -r requirements.txt
	$(VENV)/bin/pip install --quiet --constraint requirements.txt torch
	@touch $@

$(STAMPS)/dev: requirements-dev.txt $(STAMPS)/runtime
	$(VENV)/bin/pip install --quiet --no-deps -r requirements-dev.txt
	@touch $@

# Node is optional: without it the charts are the server's SVG.
$(STAMPS)/npm: package-lock.json
	@mkdir -p $(STAMPS)
	@if command -v npm >/dev/null; then npm ci --silent; else echo "Node is absent: charts will be server-made SVG."; fi
	@touch $@

$(STAMPS)/messages: $(STAMPS)/runtime $(wildcard apps/*/locale/*/LC_MESSAGES/*.po quant_platform/locale/*/LC_MESSAGES/*.po)
	$(PY) manage.py messages compile
	@touch $@

# Compiled once, also where PYTHONDONTWRITEBYTECODE is set: else each process of a session compiles what it imports.
setup: $(STAMPS)/runtime $(STAMPS)/npm $(STAMPS)/messages  ## The set-up alone
	@$(PY) -m compileall -q apps quant_platform

setup-dev: setup $(STAMPS)/dev

demo: setup  ## Real data, users, examples and a running training on http://127.0.0.1:$(PORT)
	$(PY) manage.py demo --serve --port $(PORT)

serve: setup  ## The program on your own data
	$(PY) manage.py migrate --verbosity 0
	$(PY) manage.py serve --port $(PORT)

test: setup-dev  ## The whole test suite
	$(SUITE) tests
	$(BROWSER)

types: setup-dev
	$(VENV)/bin/mypy apps quant_platform tools

lint: setup-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/djlint templates --lint --quiet
	$(PY) manage.py check
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py messages check
	git ls-files -z | grep -zv -e package-lock.json | xargs -0 $(VENV)/bin/detect-secrets-hook --baseline .secrets.baseline

check: setup-dev  ## Formatter, linter, types, contracts, templates, translations, secrets, tests
	@$(MAKE) --no-print-directory --output-sync=target -j2 types lint
	$(SUITE) tests
	NUMBA_DISABLE_JIT=1 $(PY) -m pytest -q -n $(JOBS) $(KERNELS)

# Apart from the checks: counting lines makes the suite half as long again.
coverage: setup-dev  ## How much of the code the suite runs: at least 90 %, of the engines 95 %
	$(SUITE) --cov --cov-report= tests
	NUMBA_DISABLE_JIT=1 $(PY) -m pytest -q -n $(JOBS) --cov --cov-append --cov-report= $(KERNELS)
	$(PY) -m coverage report --skip-covered --skip-empty --fail-under=90
	$(PY) -m coverage report --skip-covered --skip-empty --fail-under=95 --include='apps/*/engine/*'

format: setup-dev  ## Put the code in shape
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

fuzz: setup-dev  ## More than 20,000 generated requests at the API, and values in every form
	QP_FUZZ_EXAMPLES=70 $(PY) -m pytest -q -s tests/platform/test_fuzz.py tests/sessions/test_consumer_fuzz.py

browser: setup-dev  ## The browser tests alone (needs chromium)
	$(BROWSER)

smoke: setup  ## Does it work here? Prints JSON
	@$(PY) manage.py smoke

bench: setup-dev $(STAMPS)/bench  ## All benchmarks against the peers
	$(PY) manage.py bench all

$(STAMPS)/bench: requirements-bench.txt $(STAMPS)/venv
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -r requirements-bench.txt
	@touch $@

lock: setup-dev  ## Write requirements*.txt from requirements*.in
	$(PY) tools/lock.py

clean:  ## Remove what set-up made; your data in var/ stays
	rm -rf $(VENV) .venv-bench node_modules $(STAMPS) staticfiles
