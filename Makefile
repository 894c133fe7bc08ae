# The logic is in scripts/; these are its names.
.DEFAULT_GOAL := help
.PHONY: help setup run test lint format check docs lock install uninstall deb clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup:  ## Install everything into .venv; quick when nothing changed
	@scripts/setup
	@echo "voicebot is ready: make run replays a conversation, make test runs the tests."

run:  ## Replay a recorded conversation and write what one would have heard to out/
	@scripts/setup run
	.venv/bin/voicebot replay fixtures/conversation --out out/conversation

test:  ## Run the tests
	@scripts/setup test
	.venv/bin/python -m pytest

lint:  ## Check style and types
	@scripts/setup test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format:  ## Rewrite the code in the project's style
	@scripts/setup test
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

check: lint test  ## What CI runs: lint, then test

docs:  ## Write the turn table into docs/architecture.md
	@.venv/bin/python scripts/state-table

lock:  ## Renew requirements/*.txt from pyproject.toml; UPGRADE=1 takes the newest of all
	@scripts/lock $(if $(UPGRADE),--upgrade)

install:  ## Install as a service of this box, under PREFIX=/usr/local; as root, after make setup
	@scripts/install

uninstall:  ## Take that away; PURGE=1 takes settings and models as well
	@scripts/install uninstall

deb:  ## Make a Debian package in dist/, for this release and this processor
	@scripts/deb

clean:  ## Remove .venv, caches and output; compiled wheels and models stay in the user's cache
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
