#!/bin/bash
# Compiles the bench's programs and prints the table:  tests/bench/run.sh [quick] [recording | tls | hls | publishers | gate] [--save]
# `./build.sh bench` builds the product first and then calls this.
# quick: a small table in 3 minutes; recording, tls, hls, publishers: only that cost; gate: how many publish decisions a
# second the service makes while users log in; --save: also writes tests/bench/RESULTS.md, except for gate.
set -euo pipefail
export LC_ALL=C

repo=$(cd "$(dirname "$0")/../.." && pwd -P)
here=$repo/tests/bench
out=$repo/.build/bench

for option; do
    case "$option" in
        quick | recording | tls | hls | publishers | gate | --save) ;;
        *)
            echo "tests/bench/run.sh: '$option' is not an option: expected quick, recording, tls, hls, publishers, gate or --save" >&2
            exit 2
            ;;
    esac
done

if [[ " $* " = *" gate "* ]]; then
    ulimit -Sn "$(ulimit -Hn)"
    exec node "$here/gate.mjs" "$@"
fi

compile() {
    local program=$1
    shift
    (cd "$here" && "${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -Werror -o "$out/$program" \
        "$program.c" "$@" bench.c "$repo/modules/media/flv.c" -lssl -lcrypto)
}

mkdir -p "$out"
compile viewers target.c viewer_http.c viewer_rtmp.c viewer_hls.c numbers.c rtmp_client.c \
    rtmp_wire.c
compile publisher rtmp_client.c rtmp_wire.c
compile floor

ulimit -Sn "$(ulimit -Hn)"          # the servers inherit this limit
exec node "$here/run.mjs" "$out" "$@"
