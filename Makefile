# Needs only make, Python 3.11 or newer and a C compiler: everything else is installed into $(VENV).

VENV ?= .venv
PYTHON ?=
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .bench-venv

.PHONY: help run test lint types soak bench screenshot clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(INSTALLED) ## Run the application; options: make run ARGS="--headless --speed max"
	@$(BIN)/tui-trader $(ARGS)

test: $(INSTALLED) ## Run the tests; options: make test ARGS="tests/core -x"
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(INSTALLED) ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED) ## Check types
	@$(BIN)/mypy

soak: $(INSTALLED) ## Run the long random fault sequences in full
	@SOAK=1 $(BIN)/python -m pytest -n auto -m soak $(ARGS)

bench: $(INSTALLED) $(PEERS)/.installed ## Run every benchmark, the backtest beside other engines
	@set -e; for bench in benchmarks/[!_]*.py; do $(BIN)/python "$$bench" $(ARGS); done

screenshot: $(INSTALLED) ## Make docs/screen.svg and docs/screen.png from a run
	@TEXTUAL_ANIMATIONS=none COLORTERM=truecolor $(BIN)/python docs/make_screenshot.py

clean: ## Remove everything that make and the tools have made
	rm -rf .venv .bench-venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis snapshot_report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is touched last, so an install that failed is begun again.
$(INSTALLED): pyproject.toml constraints.txt
	@rm -f $@
	@set -e; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    found=; \
	    for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	        if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	            found=$$candidate; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "No Python 3.11 or newer found: install one, or name it with make PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$found"; \
	    "$$found" -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV) (a minute or two, the first time only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev --editable .
	@touch $@

# Other engines need other versions of what we need, so they live apart. They exist for Python 3.11 to 3.13.
$(PEERS)/.installed: benchmarks/peers-constraints.txt | $(INSTALLED)
	@rm -f $@
	@echo "Installing the engines to compare with into $(PEERS) (a minute or two, the first time only)"
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers-constraints.txt
	@touch $@
