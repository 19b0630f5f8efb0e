#!/bin/bash
# Verifies the model of the hub's one writer in all its states: TAP on stdout.  The current protocol
# must pass; spin must find the errors of the old protocol and of the old order.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0 failed=0

# verify EXPECTED TEXT FLAG…: EXPECTED is `right` or `wrong`
verify() {
    local expected=$1 text=$2 verdict=unknown result
    shift 2
    number=$((number + 1))
    # -O0: compiling the verifier with -O2 takes longer than running it
    spin "$@" -a "$here/hub_writer.pml" >out 2>&1 \
        && gcc -O0 -w -DSAFETY -DNOFAIR -DVECTORSZ=2048 -o pan pan.c >>out 2>&1 \
        && ./pan -m100000 >>out 2>&1
    # "right" requires a complete search
    if grep -q 'errors: 0$' out && ! grep -q 'Search not completed\|max search depth' out; then
        verdict=right
    elif grep -q '^pan:1: assertion violated' out; then
        verdict=wrong
    fi
    result=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1 states/p; s/^pan:1: \(assertion violated.*\)/\1/p' out | paste -sd ' ')
    if [ "$verdict" = "$expected" ]; then
        echo "ok $number - $text ($result)"
    else
        echo "not ok $number - $text: $verdict, expected $expected"
        sed 's/^/# /' out
        failed=1
    fi
}

verify right "three publishers, a revocation, a sweep, and a SIGKILL anywhere" -DKILLS=1
verify right "two publishers, a revocation, a sweep, another stream's blocks, and a SIGKILL anywhere" -DKILLS=1 -DPUBLISHERS=2
verify wrong "the old protocol lets two write" -DKILLS=0 -DOLD_PROTOCOL
verify wrong "the old order gives a block twice" -DKILLS=1 -DPUBLISHERS=2 -DOLD_ORDER
echo "1..$number"
exit "$failed"
