#!/usr/bin/env bash
# Runs every reader on so many inputs, one after another; the first finding ends it and is kept in fuzz/artifacts/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${1:-.venv-fuzz/bin/python}
runs=${2:-20000}
mkdir -p fuzz/artifacts/python
for reader in $(sed -n 's/^    "\([a-z0-9]*\)": (.*/\1/p' fuzz/python/readers.py); do
  echo "=== $reader"
  PYTHONPATH=python PYTHONHASHSEED=0 "$python" fuzz/python/readers.py "$reader" \
    -runs="$runs" -print_final_stats=1 -artifact_prefix=fuzz/artifacts/python/ 2>&1 | tail -n 6
done
