# `make demo` and `make test` are all that a fresh machine needs: each makes .venv by itself.

BIN := .venv/bin
READY := .venv/.ready
PYTHONS := python3.13 python3.12 python3.11 python3
CHECK := tests/core/test_rules.py tests/core/test_phases.py tests/model tests/control/test_map.py \
  tests/control/test_journal.py tests/control/test_verdicts.py tests/routing/test_writes.py \
  tests/routing/test_paused_process.py tests/migration/test_killed_after_every_step.py \
  tests/migration/test_under_traffic.py tests/chaos tests/soak
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo check test soak pinecone-sdk matrix lint types bench model example-fastapi example-django clean

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(READY)  ## move tenants between two clusters on this machine, under traffic: about 90 s
	@$(BIN)/python -m shardroute.demo

check: $(READY)  ## the most telling tests, in two minutes: rules, model, journal, writes, moves, chaos
	@$(BIN)/python -m pytest -n 3 --dist load --maxschedchunk 1 $(CHECK)

test: $(READY)  ## all tests, on four processes: many of them wait for clocks
	@$(BIN)/python -m pytest -n 4 --dist load --maxschedchunk 1

soak: $(READY)  ## runs under drawn fault schedules, judged by porcupine: MINUTES=10 JOBS=1 SEEDS=1-200
	@$(BIN)/python -m tests.soak $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES)) --jobs $(or $(JOBS),1)

pinecone-sdk: $(READY)  ## the integration tests of Pinecone's own SDK on the emulator: PINECONE_SDK=checkout of its v9.0.1
	@test -n "$(PINECONE_SDK)" || { \
	  echo "say where the SDK's tests are: PINECONE_SDK=path make pinecone-sdk (git clone -b v9.0.1" \
	    "https://github.com/pinecone-io/python-sdk path)" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --editable '.[pinecone-sdk]'
	@$(BIN)/python -m tests.pinecone_sdk "$(PINECONE_SDK)"

matrix:  ## the integrations on every Python >= 3.11 that is here, each with the newest Django it takes
	@done=; for name in $(PYTHONS); do \
	  $$name -c '$(USABLE)' >/dev/null 2>&1 || continue; \
	  version=$$($$name -c 'import sys; print("%d.%d" % sys.version_info[:2])'); venv=.venv-$$version; \
	  case " $$done " in *" $$version "*) continue;; esac; done="$$done $$version"; \
	  test -x $$venv/bin/pip || $$name -m venv --clear $$venv || exit 1; \
	  $$venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]' || exit 1; \
	  echo "$$($$venv/bin/python --version), Django $$($$venv/bin/python -m django --version)"; \
	  $$venv/bin/python -m pytest -q -n 2 tests/django tests/fastapi tests/facades tests/examples || exit 1; \
	done

lint: $(READY)  ## style, format and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(READY)  ## strict types
	@$(BIN)/mypy shardroute integrations tests benchmarks examples

bench: $(READY)  ## what routing and shadows add, and how fast a copy is; needs a quiet machine
	@$(BIN)/python -m benchmarks.routing
	@$(BIN)/python -m benchmarks.shadow
	@$(BIN)/python -m benchmarks.middleware
	@$(BIN)/python -m benchmarks.copy
	@$(BIN)/python -m benchmarks.connections

model: $(READY)  ## every interleaving of a small world, with each rule left out in turn
	@$(BIN)/python -m tests.model

example-fastapi: $(READY)  ## a search engine for two companies, to move while you search
	@PYTHONPATH=examples exec $(BIN)/python -m fastapi_search

example-django: $(READY)  ## the same on Django, with its admin
	@PYTHONPATH=examples $(BIN)/python -m django_search

clean:  ## remove what was made
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for name in $(PYTHONS); do \
	    if $$name -c '$(USABLE)' >/dev/null 2>&1; then python=$$name; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Python 3.11 or newer, with its venv module, is needed; none of these is it: $(PYTHONS)" >&2; \
	    exit 1; \
	  fi; \
	  echo "making .venv with $$($$python --version)"; \
	  $$python -m venv --clear .venv; \
	}
	@echo "installing what shardroute needs into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
