#!/usr/bin/env bash
# Runs every target on so many inputs, one target after another; the first finding ends it and is kept in fuzz/artifacts.
# cargo-fuzz instruments with flags of its own, which the pinned compiler takes where it is told that it may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-100000}
export RUSTC_BOOTSTRAP=1
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
# Without a sanitizer: HARDNEG_SANITIZER=address finds more, at half the speed.
sanitizer=${HARDNEG_SANITIZER:-none}
cargo fuzz build --sanitizer "$sanitizer"
cargo fuzz run --sanitizer "$sanitizer" seeds
for target in $(cargo fuzz list); do
  [ "$target" = seeds ] && continue
  echo "=== $target"
  cargo fuzz run --sanitizer "$sanitizer" "$target" -- \
    -runs="$runs" -max_len=1024 -timeout=10 -rss_limit_mb=2500 -print_final_stats=1 2>&1 | tail -n 6
done
