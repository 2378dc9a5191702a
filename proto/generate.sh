#!/usr/bin/env bash
# Generates the stubs below the given folder, with the locked, oldest supported grpcio-tools in a throw-away environment.
set -euo pipefail
target=$(realpath "$1")
cd "$(dirname "$0")/.."
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
.venv/bin/uv venv --quiet --python .venv/bin/python "$environment"
VIRTUAL_ENV="$environment" .venv/bin/uv pip sync --quiet requirements/proto.txt
"$environment/bin/python" -m grpc_tools.protoc --proto_path=proto \
    --python_out="$target" --pyi_out="$target" proto/cnnsvc/pb/*.proto
# Foreign services go by other names than their messages here, so nothing could be done with stubs of them.
"$environment/bin/python" -m grpc_tools.protoc --proto_path=proto \
    --grpc_python_out="$target" proto/cnnsvc/pb/classifier.proto
