# Every target prepares what it needs: on a fresh machine `make dev` and `make test` work with nothing run first.

SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help dev test acceptance test-latest test-postgresql check fmt bench lock wheel clean

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Test processes side by side: as many as there are cores, up to four. WORKERS=0 runs everything in one.
WORKERS ?= auto
PYTEST := -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal
# What the acceptance tests of the heart run on: see tests/acceptance/backends.py.
BACKEND ?= sqlite
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python3.12 ...`. For speed take one that was
# built with PGO (a distribution's, python.org's, uv's): pyenv's default build runs Clarion 1.4 times slower.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# Stamps remember which pyproject.toml and which locked packages the environment was made from.
RUN_READY := $(VENV)/.clarion-run
DEV_READY := $(VENV)/.clarion-dev
CORE := requirements/core.txt
DEV := requirements/dev.txt
EXTRAS := apprise,aws,kafka,mysql,nats,postgresql,rabbitmq,redis,schemas

help: ## this list
	@echo "Clarion. Usage: make TARGET [ARGS='...']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: $(RUN_READY) ## run everything on one port with demo data: ARGS='--port 9000 --data-dir DIR'
	@exec $(BIN)/clarion dev $(ARGS)

test: $(DEV_READY) servers ## run the tests: ARGS='tests/unit -k inbox'
	@$(BIN)/python $(PYTEST) $(ARGS)

acceptance: $(DEV_READY) servers ## the acceptance tests of the heart on another backend: BACKEND=postgresql+redis+kafka
	@CLARION_TEST_BACKEND=$(BACKEND) $(BIN)/python $(PYTEST) tests/acceptance -m heart $(ARGS)

test-latest: $(DEV_READY) servers ## the tests on the newest packages that pyproject.toml allows, in .venv-latest
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-latest
	@$(BIN)/uv pip install --quiet --python .venv-latest --upgrade --group build --group dev -e ".[$(EXTRAS)]"
	@.venv-latest/bin/python $(PYTEST) $(ARGS)

# The servers that docs/how-to/run-on-postgresql.md calls certified, beside Debian's.
VERSIONS ?= 16.15.0 17.11.0 18.6.0
test-postgresql: $(DEV_READY) servers ## the ledger on other PostgreSQL servers: VERSIONS='17.11.0 18.6.0'
	@for version in $(VERSIONS); do echo "PostgreSQL $$version"; \
	  POSTGRESQL_PROGRAMS="$$($(BIN)/python -m tests.servers.postgresql_of_maven $$version)" \
	  $(BIN)/python $(PYTEST) tests/contract/test_ledger.py tests/unit/adapters/ledgers -k postgresql $(ARGS); done

check: $(DEV_READY) ## style, types and architecture, as CI sees them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .cache/imports

fmt: $(DEV_READY) ## format and repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_READY) postfix nghttpd postgresql redis ## measure this machine: ARGS='--json FILE --compare EARLIER'
	@$(BIN)/python -m bench.run $(ARGS)

# The three lists are of one resolution: what runs in production is what the tests ran on.
lock: $(DEV_READY) ## write requirements/ anew after a change of pyproject.toml: ARGS=--upgrade takes newer versions
	@for list in "dev --all-extras --group dev" "extras --all-extras -c $(DEV)" "core -c $(DEV)"; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group build \
	    $${list#* } pyproject.toml --output-file requirements/$${list%% *}.txt $(ARGS); done
	@touch $(DEV_READY) $(RUN_READY)

wheel: $(DEV_READY) ## build dist/clarion-*.whl
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python && ls dist/*.whl

clean: ## remove the environment, caches and build output; data stays
	rm -rf $(VENV) .venv-latest .cache build dist

# -- preparation: silent when there is nothing to do --------------------------------------------------------

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Clarion needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --without-pip $(VENV)

# Only packages whose hashes are in the list; then Clarion itself, built with what the list holds.
# uv where there is one, because it is quick; else the interpreter's own pip, which needs no pip inside the environment.
install = if command -v uv >/dev/null; then pip() { uv pip "$$@" --python $(BIN)/python; }; \
  else pip() { $(PYTHON) -m pip --python $(BIN)/python "$$@" --disable-pip-version-check; }; fi; \
  pip install --quiet --require-hashes -r $(1) && pip install --quiet --no-deps --no-build-isolation -e .

$(RUN_READY): pyproject.toml $(CORE) | $(VENV)/bin/python
	@if test ! -e $(DEV_READY) -o pyproject.toml -nt $(DEV_READY) -o $(CORE) -nt $(DEV_READY); then \
	  echo "Preparing $(VENV) (first time, or its packages changed) ..."; $(call install,$(CORE)); fi
	@touch $@

$(DEV_READY): pyproject.toml $(DEV) | $(VENV)/bin/python
	@echo "Preparing $(VENV) with the development tools (first time, or its packages changed) ..."
	@$(call install,$(DEV))
	@touch $@ $(RUN_READY)

# What tests start themselves, never as a service. Where we may not install a package, its tests say so: skipped here,
# failed when CI=true.
.PHONY: servers chromium postfix dovecot gettext java nghttpd espeak postgresql pgbouncer mariadb redis rabbitmq nats nginx systemd
servers: chromium postfix dovecot gettext java nghttpd espeak postgresql pgbouncer mariadb redis rabbitmq nats nginx systemd npm go

chromium: # a real browser reads the pages and takes web push
	@$(call apt,chromium chromium-browser google-chrome google-chrome-stable,chromium)

postfix: # a real mail server takes our mail and bounces it
	@$(call apt,postfix /usr/sbin/postfix,postfix)

dovecot: # a real IMAP server holds mail for us to read
	@$(call apt,dovecot /usr/sbin/dovecot,dovecot-imapd)

gettext: # msgfmt checks and compiles the catalogues we write
	@$(call apt,msgfmt,gettext)

java: # a mock of APNs that others wrote runs on it, and Maven fetches it
	@$(call apt,javac,default-jdk-headless)
	@$(call apt,mvn,maven)

nghttpd: # an HTTP/2 server takes our push notifications
	@$(call apt,nghttpd,nghttp2-server)

espeak: # speaks the calls of the demo
	@$(call apt,espeak-ng,espeak-ng)

postgresql: # a database server to run on; the peer that is measured beside Clarion stores its data there, too
	@$(call apt,$(or $(wildcard /usr/lib/postgresql/*/bin/postgres),postgres),postgresql)

pgbouncer: # pools connections to it
	@$(call apt,pgbouncer /usr/sbin/pgbouncer,pgbouncer)

mariadb: # applications on it have outboxes
	@$(call apt,mariadbd /usr/sbin/mariadbd,mariadb-server)

redis: # limits, caches and fan-out between processes; the peer queues its tasks here
	@$(call apt,redis-server,redis-server)
	@$(call apt,redis-sentinel,redis-sentinel)

rabbitmq: # a broker
	@$(call apt,/usr/lib/rabbitmq/bin/rabbitmq-server,rabbitmq-server)

nats: # a broker
	@$(call apt,nats-server,nats-server)

nginx: # a proxy in front of several processes
	@$(call apt,nginx /usr/sbin/nginx,nginx-light)

systemd: # reads the units
	@$(call apt,systemd-analyze,systemd)

apt = if ! command -v $(1) >/dev/null && command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
  echo "Installing $(2) for the tests ..."; \
  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2); } \
    >/dev/null 2>&1 || echo "$(2) could not be installed; its tests will say so" >&2; fi

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

# Programs in Go, built from source: helm renders the chart, toxiproxy is a bad network. Without Go the tests say so, as above.
HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
TOXIPROXY := github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0
GO_BIN := .cache/go
.PHONY: go
go: $(GO_BIN)/helm $(GO_BIN)/toxiproxy

$(GO_BIN)/helm:
	@$(call go_install,$(HELM),helm)

$(GO_BIN)/toxiproxy:
	@$(call go_install,$(TOXIPROXY),server)

go_install = if command -v go >/dev/null; then echo "Building $(1) for the tests ..."; mkdir -p $(GO_BIN)/new; \
  { GOBIN=$(CURDIR)/$(GO_BIN)/new CGO_ENABLED=0 go install $(1) >/dev/null 2>&1 && mv $(GO_BIN)/new/$(2) $@; } \
    || echo "go could not build it; the tests will say so" >&2; fi
