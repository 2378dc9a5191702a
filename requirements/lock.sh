#!/usr/bin/env bash
# Locks the dependencies with hashes and without any registry's address; `make lock` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --no-header "$@"
}
compile pyproject.toml --output-file requirements/serve.txt
compile pyproject.toml --extra train --output-file requirements/train.txt
compile pyproject.toml --extra train --extra otel --extra opencv --extra search --group dev --output-file requirements/dev.txt
# Images of their own, of the packages that are tested and some more.
compile pyproject.toml --extra fetch --constraint requirements/serve.txt --output-file requirements/fetch.txt
compile pyproject.toml --extra gpu --constraint requirements/train.txt --output-file requirements/train-gpu.txt
compile requirements/build.in --output-file requirements/build.txt
compile requirements/proto.in --output-file requirements/proto.txt
compile requirements/uv.in --output-file requirements/uv.txt
compile requirements/audit.in --output-file requirements/audit.txt
for clients in requirements/clients/*.in; do
    compile "$clients" --output-file "${clients%.in}.txt"
done
