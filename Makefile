# Each target sets up what it needs; none but image-rehearsal needs root, and none a running service.
.PHONY: setup demo test check format proto proto-baseline docs lock audit wheel bench soak image-rehearsal
.DEFAULT_GOAL := help

BIN := .venv/bin
# A file's tests share what they set up, so they stay in one process.
PYTEST := $(BIN)/pytest --numprocesses auto --dist loadfile

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 18

setup: ## .venv with the locked packages (Python 3.11 to 3.13 is all it needs)
	@requirements/setup.sh

demo: setup ## the main job on a sample it generates: train, prove, serve, classify, explain, scrape
	@$(BIN)/python -m deploy.demo

test: setup ## every test; with CNNSVC_REQUIRE_ALL=1 a skipped test is a failure
	$(PYTEST)

check: setup ## format, lint, types, import rules, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow"

format: setup ## formats the sources and mends what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: setup ## regenerates the stubs from proto/
	proto/generate.sh .

proto-baseline: setup ## at a release: the interface of now is what must not break from here on
	proto/baseline.sh

docs: setup ## regenerates docs/reference/ from the sources
	$(BIN)/python -m docs.generator

lock: setup ## locks the newest versions that fit together
	requirements/lock.sh

audit: setup ## known vulnerabilities in the locked packages; skipped, saying so, where nobody can be asked
	@requirements/audit.sh

wheel: setup ## dist/cnnsvc-*.whl
	$(BIN)/python -m build --no-isolation --wheel

bench: setup ## cnnsvc and its peers side by side: BUNDLE=models/NAME/VERSION [PHOTOGRAPHS=FOLDER] [QUICK=1]
	@test -n "$(BUNDLE)" || { echo "bench: name a trained bundle: make bench BUNDLE=models/flowers/1 [PHOTOGRAPHS=folder]" >&2; exit 2; }
	$(BIN)/python -m bench.compare --bundle "$(BUNDLE)" $(if $(PHOTOGRAPHS),--photographs "$(PHOTOGRAPHS)") $(if $(QUICK),--quick)

soak: setup ## every fault scenario in its long form, an hour of mixed load among them: make soak > bench/faults.md
	@$(BIN)/python -m bench.faults

image-rehearsal: setup ## the Dockerfile's steps in a Debian root, and the result run; needs root, no container engine
	$(BIN)/python -m deploy.rehearse_image
