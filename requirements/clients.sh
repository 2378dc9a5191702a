#!/usr/bin/env bash
# .venv/clients with what the tests of callers in other languages need; `make clients` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/uv venv --quiet --allow-existing --python .venv/bin/python .venv/clients
.venv/bin/uv pip sync --quiet --python .venv/clients requirements/clients.txt
