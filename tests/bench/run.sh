#!/bin/bash
# Compiles the bench's programs and prints the table:  tests/bench/run.sh [--save]
# `./build.sh bench` builds the product first and then calls this.
# --save also writes tests/bench/RESULTS.md.
set -euo pipefail
export LC_ALL=C

repo=$(cd "$(dirname "$0")/../.." && pwd -P)
out=$repo/.build/bench

mkdir -p "$out"
for program in viewers floor; do
    "${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -Werror -o "$out/$program" \
        "$repo/tests/bench/$program.c" "$repo/modules/media/flv.c"
done

ulimit -Sn "$(ulimit -Hn)"          # nginx takes its limit from here
exec node "$repo/tests/bench/run.mjs" "$out" "$@"
