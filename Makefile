# Everything runs in the environment VENV, made from hash-pinned locks. PYTHON names its interpreter (3.11 to 3.14): one
# that does not fit only helps to find, or fetch, one that does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# has a folder of its own, as the Python that it is installed with need not be that of the environment
UV := .uv/bin/uv
INSTALL = $(UV) --quiet pip install --python $(BIN)/python
# compiled once here and not by every process that starts, where Python may not write what it compiled
PYC := --compile-bytecode
UV_VERSION := 0.13.9
# twice the cores of a small machine: tests of pages and servers often wait
WORKERS ?= 4
PYTEST_ARGS ?=
# numpy of newer interpreters has types in their grammar, which mypy misreads as that of an older one
TYPES_OF = $$($(BIN)/python -c 'print("%d.%d" % __import__("sys").version_info[:2])')

.DEFAULT_GOAL := help
.PHONY: help install snowflake postgres dev demo dashboard ui test test-core lint format screenshots pictures drive quality bench bench-big lock clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed ## the environment to run in (.venv)
snowflake: $(VENV)/.installed-snowflake ## the same with what reads and writes Snowflake tables
postgres: $(VENV)/.installed-postgres ## the same with what keeps Dagster's records in a PostgreSQL server
dev: $(VENV)/.installed-dev ## the environment to develop and test in

demo: install ## ingest 187 synthetic days, score the last 7, show what was found
	@$(BIN)/anomaly-assets demo

dashboard: $(VENV)/.installed-dashboard ## pages for reviewers over the same home, on http://127.0.0.1:8501
	@$(BIN)/anomaly-assets dashboard

ui: install ## Dagster's web pages over the same home, on http://127.0.0.1:3000
	@$(BIN)/anomaly-assets ui

test: test-core ## everything: each suite below

# pytest keeps the tests that it rewrote, for its other processes and the next time
test-core: dev ## what needs nothing but this folder
	@$(BIN)/python -m compileall -q anomaly_assets benchmarks tests
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

lint: dev ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --python-version $(TYPES_OF)

format: dev ## put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: dev ## drive the dashboard and Dagster's pages in a real browser; pictures go to screenshots/
	$(BIN)/python -m pytest -m browser tests/browser

pictures: dev ## take the pictures of README and docs again, over the home of the demo
	PYTHONPATH=tests $(BIN)/python -m browser.docs_pictures

drive: dev ## two weeks as people operate Dagster: dead host, outages, full disk, erasure (twenty minutes, PostgreSQL, root)
	PYTHONPATH=tests $(BIN)/python -m e2e.operated_week
	PYTHONPATH=tests $(BIN)/python -m e2e.unwell_week

quality: dev ## what the detectors find, on the third-party transactions and on planted anomalies
	$(BIN)/python benchmarks/planted_anomalies.py
	$(BIN)/python benchmarks/sparkov.py

bench: dev ## how fast: against scikit-learn, by the day, and as data grows (about fifteen minutes)
	$(BIN)/python -m benchmarks.straightforward
	$(BIN)/python -m benchmarks.fit_only
	$(BIN)/python -m benchmarks.backfill_days
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.model_sizes
	$(BIN)/python -m benchmarks.years_of_days

bench-big: dev ## a day of a million wallets, days of ten million rows, a year of pages (three quarters of an hour, 16 GB)
	$(BIN)/python -m benchmarks.million_wallets
	$(BIN)/python -m benchmarks.files_memory
	$(BIN)/python -m benchmarks.source_memory
	$(BIN)/python -m benchmarks.dashboard_year

lock: dev ## resolve the locks again from pyproject.toml
	$(UV) pip compile pyproject.toml --extra ui --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock
	$(UV) pip compile pyproject.toml --extra ui --extra snowflake --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --constraint requirements.lock --output-file requirements-snowflake.lock
	$(UV) pip compile pyproject.toml --extra ui --extra postgres --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --constraint requirements.lock --output-file requirements-postgres.lock
	$(UV) pip compile pyproject.toml --extra ui --extra dashboard --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --constraint requirements.lock --constraint requirements-snowflake.lock \
	  --output-file requirements-dashboard.lock
	$(UV) pip compile pyproject.toml --extra dev --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --constraint requirements-snowflake.lock \
	  --constraint requirements-postgres.lock --constraint requirements-dashboard.lock --output-file requirements-dev.lock

clean: ## remove the environments and caches; the home stays
	rm -rf $(VENV) .venv-* .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis

# any Python 3 that uv can be installed with: PYTHON itself, unless it is not there yet
define HELPER
$$(for python in $(PYTHON) python3; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && echo $$python && exit; \
done; echo "No Python 3.8 or later runs here to install uv with: install python3, or make PYTHON=/path/to/python3" >&2)
endef

$(UV):
	@helper=$(HELPER); test "$$helper" && python=$$($$helper tools/interpreters.py for-uv) && $$python -m venv --clear .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/bin/python: | $(UV)
	@helper=$(HELPER); test "$$helper" && python=$$($$helper tools/interpreters.py choose --uv $(UV) "$(PYTHON)") && \
	  echo "making $(VENV) with $$python ..." && $(UV) --quiet venv --clear --python "$$python" $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing $< ..."
	@$(INSTALL) $(PYC) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/anomaly-assets dagster-home >/dev/null
	@touch $@

$(VENV)/.installed-snowflake: requirements-snowflake.lock $(VENV)/.installed
	@echo "installing $< ..."
	@$(INSTALL) $(PYC) --require-hashes -r requirements-snowflake.lock
	@touch $@

$(VENV)/.installed-postgres: requirements-postgres.lock $(VENV)/.installed
	@echo "installing $< ..."
	@$(INSTALL) $(PYC) --require-hashes -r requirements-postgres.lock
	@touch $@

$(VENV)/.installed-dashboard: requirements-dashboard.lock $(VENV)/.installed
	@echo "installing $< ..."
	@$(INSTALL) $(PYC) --require-hashes -r requirements-dashboard.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing $< ..."
	@$(INSTALL) $(PYC) --require-hashes -r requirements-dev.lock
	@touch $@
