# Each target sets up what it needs; none needs root or a running service.
.PHONY: setup demo test check format proto lock wheel
.DEFAULT_GOAL := help

BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 10

setup: ## .venv with the locked packages (Python 3.11 to 3.13 is all it needs)
	@requirements/setup.sh

demo: setup ## the main job on a sample it generates: train, prove, serve, classify, scrape
	@$(BIN)/python -m deploy.demo

test: setup ## every test; with CNNSVC_REQUIRE_ALL=1 a skipped test is a failure
	$(BIN)/pytest

check: setup ## format, lint, types, import rules, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not slow"

format: setup ## formats the sources and mends what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: setup ## regenerates the stubs from proto/
	proto/generate.sh .

lock: setup ## locks the newest versions that fit together
	requirements/lock.sh

wheel: setup ## dist/cnnsvc-*.whl
	$(BIN)/python -m build --no-isolation --wheel
