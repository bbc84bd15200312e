#!/usr/bin/env bash
# Runs targets (those named, or all) on so many inputs each, one after another; the first finding ends it and is kept in
# fuzz/artifacts. HARDNEG_SECONDS=600 ends each target after so long, whatever it has come to.
# cargo-fuzz instruments with flags of its own, which the pinned compiler takes where it is told that it may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-100000}
shift || true
export RUSTC_BOOTSTRAP=1
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
# Without a sanitizer: HARDNEG_SANITIZER=address finds more, at half the speed.
sanitizer=${HARDNEG_SANITIZER:-none}
[ $# -gt 0 ] || cargo fuzz build --sanitizer "$sanitizer"
cargo fuzz run --sanitizer "$sanitizer" seeds
[ $# -gt 0 ] || set -- $(cargo fuzz list | grep -v '^seeds$')
for target in "$@"; do
  # Long enough for what each is about: short inputs are many.
  case $target in
    normalize | scrub | times) longest=200 ;;
    saved | parquet_*) longest=1024 ;;
    *) longest=512 ;;
  esac
  echo "=== $target"
  cargo fuzz run --sanitizer "$sanitizer" "$target" -- \
    -runs="$runs" -max_total_time="${HARDNEG_SECONDS:-0}" -max_len="$longest" -timeout=10 -rss_limit_mb=2500 \
    -print_final_stats=1 2>&1 | tail -n 6
done
