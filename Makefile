# `make demo` and `make test` are all you need; `python -m stack --help` has the rest.
PYTHON := .venv/bin/python
# Kept, since to compile everything anew is most of what a start would cost; out of the way of the sources.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.seatwright/pycache
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help preflight venv demo stop clean lint test compose-test chaos prove bench

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

preflight:
	@command -v python3 >/dev/null || { echo 'missing: Python 3.11 or later' >&2; exit 1; }
	@python3 -I stack/preflight.py

venv: preflight ## make .venv from requirements.lock (when that has changed)
	@ops/venv

demo: venv ## start everything, and make one booking (with traces and graphs: WATCH=1; other ports: UP="--ports free")
	@$(PYTHON) -m stack up $(if $(WATCH),--watch) $(UP)
	@$(PYTHON) -m cli demo

stop: ## stop the demo; its data stays
	@test ! -x $(PYTHON) || $(PYTHON) -m stack down

clean: ## stop the demo and delete its data
	@test ! -x $(PYTHON) || $(PYTHON) -m stack clean

lint: venv ## style, types and layers
	@$(PYTHON) ops/suite.py --lint

test: venv ## the whole suite on a stack of its own, from nothing, also beside a running demo
	@$(PYTHON) ops/suite.py

compose-test: venv ## run docker-compose.yml on podman or docker and make one booking (also: ARGS="--keep-images --stand-ins")
	@$(PYTHON) -m ops.compose $(ARGS)

chaos: venv ## bookings while everything breaks (also: SECONDS=600 RATE=5 SEED=7)
	@$(PYTHON) -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED))

prove: venv ## every scenario at full size; writes its report to docs/proof/
	@SEATWRIGHT_SCALE=full $(PYTHON) tests/prove.py

bench: venv ## measure what a booking costs, side by side with simpler things (parts: python -m bench --help)
	@$(PYTHON) -m bench all
