#!/usr/bin/env bash
# Tools that watch memory: AddressSanitizer and LeakSanitizer over tests of the core and of the Parquet reader, with the SHA
# instructions; Valgrind over the same (it knows none: the portable path); Miri over all that is unsafe, with those instructions.
# Few cases each, for the last two take a hundred times as long.
#   tests/campaign/memory.sh [TEST...]
# HARDNEG_TOOLS="sanitizer valgrind miri" chooses among them.
# What is not installed is said, and not done. Miri: rustup component add miri rust-src --toolchain nightly
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || set -- input scalar text time digest pseudonym seed normalize intern spill saved
export PROPTEST_CASES=${PROPTEST_CASES:-4}
tools=" ${HARDNEG_TOOLS:-sanitizer valgrind miri} "
tests=()
for name in "$@"; do tests+=(--test "$name"); done

# The pinned compiler has the sanitizer, and takes its flag where it is told that it may. Only for the one target, or
# build scripts would be linked with it too.
host=$(rustc -vV | sed -n 's/^host: //p')
if [[ $tools = *" sanitizer "* ]]; then
  echo "=== sanitizer"
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitizer \
    cargo test --locked --target "$host" -p hardneg-core -p hardneg-parquet --lib "${tests[@]}"
fi

if [[ $tools != *" valgrind "* ]]; then
  echo "valgrind: not asked for"
elif command -v valgrind >/dev/null; then
  cargo test --locked -p hardneg-core -p hardneg-parquet "${tests[@]}" --no-run --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable"):
        print(made["target"]["name"], made["executable"])' |
    while read -r name binary; do
      echo "=== valgrind: $name"
      found=0
      said=$(valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
        --show-leak-kinds=definite "$binary" --test-threads=1 2>&1) || found=$?
      grep -aE '^test result|^==' <<<"$said" || true
      [ "$found" = 0 ] || { echo "$name ends with $found" >&2; exit 1; }
    done
else
  echo "valgrind is not installed: not done"
fi

if [[ $tools != *" miri "* ]]; then
  echo "miri: not asked for"
elif cargo +nightly miri --version >/dev/null 2>&1; then
  echo "=== miri: what is unsafe"
  cd tests/campaign/miri
  RUSTFLAGS="-C target-feature=+sha,+sse4.1,+ssse3" MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --locked
else
  echo "miri is not installed: not done"
fi
