#!/usr/bin/env bash
# Makes .venv with every locked package, given only a Python from 3.11 to 3.13 with venv or pip; `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    cat >&2 <<'END'
setup: no Python from 3.11 to 3.13 was found.
Install one, for example: apt-get install python3 python3-venv   or name it: make setup PYTHON=/path/to/python3.12
END
    exit 1
}

# Into .venv/uv, by venv's own pip or by the system's, whichever is there.
install_uv() {
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        "$python" -m venv .venv/uv
        .venv/uv/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --target .venv/uv --require-hashes -r requirements/uv.txt
    else
        cat >&2 <<END
setup: $python has neither venv nor pip.
Install one of them, for example: apt-get install python3-venv   or: apt-get install python3-pip
END
        exit 1
    fi
}

wanted=$(cat pyproject.toml requirements/dev.txt requirements/uv.txt | sha256sum)
if [ "$(cat .venv/installed 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
python=$(find_python)
say "setting up .venv with $("$python" --version) and the locked packages (TensorFlow among them: about 3 GB)"
mkdir -p .venv
[ -x .venv/uv/bin/uv ] || install_uv
uv=.venv/uv/bin/uv
# Without byte-code every import of TensorFlow takes seconds longer.
export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$PWD/.venv"
"$uv" venv --quiet --allow-existing --python "$python" .venv
"$uv" pip sync --quiet requirements/dev.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s' "$wanted" > .venv/installed
say "ready: .venv/bin/cnnsvc --help"
