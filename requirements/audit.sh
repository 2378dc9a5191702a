#!/usr/bin/env bash
# Looks for known vulnerabilities in every locked package, and for licences that bind whoever passes the image on;
# `make audit` calls it, further words go to pip-audit. Ends with 1 where it finds any. Where nobody can be asked for
# vulnerabilities it says so, and that is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

.venv/bin/uv venv --quiet --allow-existing --python .venv/bin/python .venv/audit
.venv/bin/uv pip sync --quiet --python .venv/audit requirements/audit.txt

echo "audit: licences of what serves"
# As the packages themselves say; of libraries inside of a wheel nobody asks them.
mapfile -t packages < <(grep --only-matching --perl-regexp '^[\w.-]+(?===)' requirements/serve.txt)
.venv/audit/bin/pip-licenses --python .venv/bin/python --packages "${packages[@]}" --partial-match --fail-on GPL

folder=$(mktemp --directory)
trap 'rm -r "$folder"' EXIT

audit() { .venv/audit/bin/pip-audit --progress-spinner off --disable-pip --strict "$@"; }

# Old, and known for it: who is not reached, or does not know this one, has no word on the others either.
echo 'jinja2==2.10' > "$folder/known"
audit --no-deps --requirement "$folder/known" "$@" > "$folder/said" 2>&1 || true
if ! grep -q '^jinja2 *2\.10 ' "$folder/said"; then
    cat "$folder/said"
    echo "audit: SKIPPED, the vulnerability service cannot be asked"
    exit 0
fi
# One by one: two of them may lock two releases of a package, which pip-audit takes for a mistake.
status=0
for lock in requirements/*.txt requirements/clients/*.txt; do
    echo "audit: $lock"
    audit --require-hashes --requirement "$lock" "$@" || status=1
done
exit $status
