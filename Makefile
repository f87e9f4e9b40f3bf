# Every target prepares what it needs: on a fresh machine `make dev` and `make test` work with nothing run first.

SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help dev test check fmt bench clean

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python3.12 ...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# Stamps remember which pyproject.toml the environment was made from.
RUN_READY := $(VENV)/.clarion-run
DEV_READY := $(VENV)/.clarion-dev

help: ## this list
	@echo "Clarion. Usage: make TARGET [ARGS='...']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: $(RUN_READY) ## run everything on one port with demo data: ARGS='--port 9000 --data DIR'
	@exec $(BIN)/clarion dev $(ARGS)

test: $(DEV_READY) browser postfix dovecot npm gettext ## run the tests: ARGS='tests/unit -k inbox'
	@$(BIN)/python -m pytest $(ARGS)

check: $(DEV_READY) ## style, types and architecture, as CI sees them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .cache/imports

fmt: $(DEV_READY) ## format and repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_READY) postfix ## measure this machine: prints a table, writes JSON
	@$(BIN)/python bench/run.py $(ARGS)

clean: ## remove the environment, caches and build output; data stays
	rm -rf $(VENV) .cache build dist

# -- preparation: silent when there is nothing to do --------------------------------------------------------

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Clarion needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --without-pip $(VENV)

# uv where there is one, because it is quick; else the interpreter's own pip, which needs no pip inside the environment.
install = if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(1); \
  else $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check $(1); fi

$(RUN_READY): pyproject.toml | $(VENV)/bin/python
	@if test ! -e $(DEV_READY) -o pyproject.toml -nt $(DEV_READY); then \
	  echo "Preparing $(VENV) (first time, or pyproject.toml changed) ..."; $(call install,-e .); fi
	@touch $@

$(DEV_READY): pyproject.toml | $(VENV)/bin/python
	@echo "Preparing $(VENV) with the development tools (first time, or pyproject.toml changed) ..."
	@$(call install,-e '.[dev]')
	@touch $@ $(RUN_READY)

# The browser tests need a Chromium. Where we may not install one they say so: skipped here, failed when CI=true.
.PHONY: browser
browser:
	@if ! command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null \
	    && command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  echo "Installing chromium for the browser tests ..."; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null \
	    || echo "chromium could not be installed; the browser tests will say so" >&2; \
	fi

# A real mail server takes our mail and bounces it. It is never started as a service: the tests run their own.
.PHONY: postfix
postfix:
	@if ! command -v postfix /usr/sbin/postfix >/dev/null \
	    && command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  echo "Installing postfix for the mail tests ..."; \
	  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends postfix; } >/dev/null 2>&1 \
	    || echo "postfix could not be installed; the mail tests will say so" >&2; \
	fi

# A real IMAP server holds mail for us to read; like Postfix it is only ever started by the tests.
.PHONY: dovecot
dovecot:
	@if ! command -v dovecot /usr/sbin/dovecot >/dev/null \
	    && command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  echo "Installing dovecot for the mail tests ..."; \
	  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends dovecot-imapd; } >/dev/null 2>&1 \
	    || echo "dovecot could not be installed; the mail tests will say so" >&2; \
	fi

# gettext checks and compiles the catalogues we write.
.PHONY: gettext
gettext:
	@if ! command -v msgfmt >/dev/null && command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  echo "Installing gettext for the catalogue tests ..."; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends gettext; } >/dev/null 2>&1 \
	    || echo "gettext could not be installed; the catalogue tests will say so" >&2; \
	fi

# Some tests check against what others wrote for Node. Without npm they say so, as above.
NPM_READY := .cache/npm/.ready
.PHONY: npm
npm:
	@if test tests/npm/package.json -nt $(NPM_READY) && command -v npm >/dev/null; then \
	  echo "Installing what tests/npm/package.json names ..."; \
	  mkdir -p .cache/npm && cp tests/npm/package.json .cache/npm/ \
	    && npm install --prefix .cache/npm --no-audit --no-fund --loglevel=error >/dev/null && touch $(NPM_READY) \
	    || echo "npm could not install them; the tests will say so" >&2; \
	fi
