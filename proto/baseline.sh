#!/usr/bin/env bash
# Makes the interface as it is now the one that later changes must not break; `make proto-baseline` calls it at a release.
set -euo pipefail
cd "$(dirname "$0")"
buf=$(cd .. && .venv/bin/python -c "from tests.outside.environments import client_python as c; print(c('languages').with_name('buf'))")
"$buf" build . --path cnnsvc/pb/classifier.proto --exclude-source-info --as-file-descriptor-set \
    --output "${1:-baseline.binpb}"
