#!/bin/bash
# Runs each fuzzer from its committed corpus and says `ok` or `not ok`:
#   run.sh PROGRAMS SOURCES RUNS NAME…
# A fuzzer writes new inputs to PROGRAMS, not into the repo.
set -uo pipefail

programs=$1 sources=$2 runs=$3
shift 3
number=0 failed=0

echo "1..$#"
for name in "$@"; do
    number=$((number + 1))
    log=$programs/$name.log
    if [ -z "$(ls "$sources/corpus/$name" 2>/dev/null)" ]; then
        echo "# $sources/corpus/$name has no input to start from"
        echo "not ok $number - fuzz $name"
        failed=1
        continue
    fi
    mkdir -p "$programs/corpus/$name" "$programs/crash"
    # we accept an SPS of at most 512 bytes, a tag's head is far shorter; with a fixed
    # seed a failure on one machine is a failure on all
    if "$programs/fuzz_$name" -runs="$runs" -max_len=1024 -seed=1 -timeout=10 -rss_limit_mb=512 \
        -max_total_time=300 -print_final_stats=1 -artifact_prefix="$programs/crash/$name-" \
        "$programs/corpus/$name" "$sources/corpus/$name" >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */# runs: /p' "$log"
        echo "ok $number - fuzz $name"
    else
        tail -n 60 "$log" | sed 's/^/# /'
        echo "not ok $number - fuzz $name"
        failed=1
    fi
done
exit $failed
