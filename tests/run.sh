#!/bin/bash
# Runs the test suites and adds up what they say:  tests/run.sh [SUITE…]
# The last line is `N passed, N failed`; a suite that ran no test has failed.
# `./build.sh test` builds first and then calls this.
set -uo pipefail
export LC_ALL=C

repo=$(cd "$(dirname "$0")/.." && pwd -P)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
file_limit=1200             # seconds; only a test file that hangs meets it
passed=0 failed=0
lines=() again=()

# node:test and cmocka both speak TAP.  Only node ends it with totals.
count_node() {
    suite_passed=$((suite_passed + $(sum '^# pass ' "$1")))
    local bad
    bad=$(($(sum '^# fail ' "$1") + $(sum '^# cancelled ' "$1")))
    [ "$2" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1     # died before it could count
    suite_failed=$((suite_failed + bad))
}

sum() { sed -n "s/$1\([0-9]*\)\$/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'; }

count_cmocka() {
    local bad
    suite_passed=$((suite_passed + $(grep -c '^ok ' "$1")))
    bad=$(grep -c '^not ok ' "$1")
    [ "$2" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    suite_failed=$((suite_failed + bad))
}

# run COUNTER LABEL COMMAND…
run() {
    local counter=$1 label=$2
    shift 2
    try "$out/tap" "$@"
    try_again "$label" "$out/tap" "$@"
    tell "$counter" "$label" "$out/tap"
}

# try_again LABEL TAP COMMAND…: what failed is run once more, alone, so that a moment in
# which the machine was busy is told from a fault. The summary names it all the same.
try_again() {
    local label=$1 tap=$2
    shift 2
    [ "$(<"$tap.code")" -ne 0 ] || return 0
    echo "# $label: failed, and is run once more"
    sed 's/^/| /' "$tap"
    try "$tap" "$@"
    [ "$(<"$tap.code")" -ne 0 ] || again+=("$label")
}

# try TAP COMMAND…: its output goes to TAP, its exit status beside it
try() {
    local tap=$1 code=0
    shift
    timeout -k 20 "$file_limit" "$@" </dev/null >"$tap" 2>&1 || code=$?
    echo "$code" >"$tap.code"
}

# tell COUNTER LABEL TAP: shows and counts what `try` left
tell() {
    local code
    code=$(<"$3.code")
    echo "# $2"
    cat "$3"
    [ "$code" -ne 124 ] || echo "# $2: ended after $file_limit s"
    "$1" "$3" "$code"
    [ "$code" -eq 0 ] || echo "# $2: failed (exit status $code)"
}

suite_unit() {
    run count_cmocka "unit: auth-service" make -s -C "$repo/auth-service" test
    if [ -e "$repo/tests/unit/Makefile" ]; then
        run count_cmocka "unit: media" make -s -C "$repo/tests/unit" test
    fi
    node_suite unit
}

suite_fuzz() {
    if [ -e "$repo/tests/fuzz/Makefile" ]; then
        run count_cmocka "fuzz" make -s -C "$repo/tests/fuzz" test
    fi
    node_suite fuzz
}

# The nginx scenarios with ASan and UBSan in our modules; a few as they are shipped,
# as e2e, hostile and browser run them, too.
suite_nginx() {
    side_by_side 3 "" "$repo"/tests/nginx/{hub,flv,play,dvr,slow-viewers}.test.mjs
    if "$repo/modules/build.sh" --sanitize; then
        DUOLU_SANITIZE=1 side_by_side 3 "sanitized: " "$repo"/tests/nginx/*.test.mjs
    else
        echo "# sanitized modules: not compiled"
        suite_failed=$((suite_failed + 1))
    fi
}

# one file after another: each starts whole stacks, and the machine is small
node_suite() {
    local file
    for file in "$repo/tests/$1"/*.test.mjs; do
        [ -e "$file" ] || continue
        run count_node "${2:-}${file#"$repo/"}" node --test-reporter=tap "$file"
    done
}

# side_by_side COUNT LABEL FILE…: so many at a time, since a test with its streams mostly waits
side_by_side() {
    local count=$1 label=$2 i
    shift 2
    local files=("$@")
    for i in "${!files[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$count" ]; do wait -n; done
        try "$out/$i" node --test-reporter=tap "${files[i]}" &
    done
    wait
    for i in "${!files[@]}"; do
        try_again "$label${files[i]#"$repo/"}" "$out/$i" node --test-reporter=tap "${files[i]}"
        tell count_node "$label${files[i]#"$repo/"}" "$out/$i"
    done
}

run_suite() {
    suite_passed=0 suite_failed=0
    local began=$SECONDS
    case "$1" in
        unit) suite_unit ;;
        fuzz) suite_fuzz ;;
        nginx) suite_nginx ;;
        e2e) side_by_side 2 "" "$repo"/tests/e2e/*.test.mjs ;;
        hostile) side_by_side 2 "" "$repo"/tests/hostile/*.test.mjs ;;
        *) node_suite "$1" ;;
    esac
    if [ $((suite_passed + suite_failed)) -eq 0 ]; then
        echo "# $1: no test was run"
        suite_failed=1
    fi
    lines+=("$(printf '%-8s %4d ok, %d not ok, %d s' "$1" "$suite_passed" "$suite_failed" $((SECONDS - began)))")
    passed=$((passed + suite_passed))
    failed=$((failed + suite_failed))
}

suites=("$@")
if [ $# -eq 0 ]; then
    suites=(lint unit nginx hostile e2e browser)
    [ ! -d "$repo/tests/fuzz" ] || suites+=(fuzz)
fi
for suite in "${suites[@]}"; do
    if [[ ! " lint unit fuzz nginx hostile e2e browser " == *" $suite "* ]]; then
        echo "tests/run.sh: '$suite' is not a suite: expected unit, fuzz, nginx, hostile, e2e, browser or lint" >&2
        exit 2
    fi
done
cd "$repo" || exit 1
for suite in "${suites[@]}"; do run_suite "$suite"; done

echo
printf '%s\n' "${lines[@]}"
[ ${#again[@]} -eq 0 ] || printf 'passed only when it was run once more: %s\n' "${again[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
