#!/usr/bin/env bash
# Makes the wheel, installs it and runs the tests with it. BUILT: where cargo has left libmmlog, as for build.py; PYTHON: which one.
# What needs a program or package that is neither here nor to be had says SKIPPED.
set -euo pipefail
if [ -n "${BUILT:-}" ]; then BUILT=$(cd "$BUILT" && pwd); fi
cd "$(dirname "$0")"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "SKIPPED: no $python"; exit 0; }
"$python" -c 'import ctypes, sys; sys.exit(sys.version_info < (3, 9))' ||
  { echo "SKIPPED: $python has no ctypes, or is older than 3.9"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wheel=$("$python" build.py "$work/dist" | tail -n 1)
if "$python" -m pip --version >/dev/null 2>&1; then
  "$python" -m pip install --quiet --no-index --no-deps --root-user-action=ignore --target "$work/site" "$wheel"
else
  echo "SKIPPED: pip takes the wheel; there is no pip, and the tests run with it unpacked"
  "$python" -m zipfile -e "$wheel" "$work/site"
fi
# Only for tests: what is not here yet is asked for, and they do without it.
for package in gunicorn mypy; do
  "$python" -c "import $package" 2>/dev/null ||
    timeout 100 "$python" -m pip install --quiet --root-user-action=ignore --target "$work/others" "$package" >"$work/pip" 2>&1 ||
    echo "SKIPPED: what needs $package, which cannot be installed: $(tail -n 1 "$work/pip")"
done
export PYTHONPATH=$work/site:$work/others PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=error::SyntaxWarning
if "$python" -c 'import mypy' 2>/dev/null; then
  "$python" -m mypy --strict --cache-dir "$work/mypy" src/mmlog
fi
cd tests
"$python" -m unittest "$@"
