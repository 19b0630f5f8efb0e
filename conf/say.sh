# shellcheck shell=bash
# Output for the user: progress lines, and failures that say what to do.

say() { printf '%s\n' "duolu: $*"; }

warn() { printf '%s\n' "duolu: warning: $*" >&2; }

die() {
    printf '%s\n' "duolu: $*" >&2
    exit 1
}

# await_lock DESCRIPTOR FILE WHAT: locks the open FILE, once the process ends that holds it for WHAT.
await_lock() {
    ! flock -n "$1" || return 0
    say "another ./build.sh $3 at this moment: waiting for it"
    flock -w 600 "$1" || die "it still does after 600 s (the lock is $2): end it, or try again"
}

# show_log FILE: the last lines of a log, indented, to stderr.
show_log() {
    [ -s "$1" ] || return 0
    printf '%s\n' "  --- end of $1" >&2
    # the log may hold strangers' text: remove control characters
    tail -n 20 "$1" | tr -d '\000-\010\013-\037\177' | sed 's/^/  | /' >&2
}

# run_logged TASK LOG COMMAND…: runs the command with its output in LOG and prints one
# progress line, and every 10 s the last line of the log.
run_logged() {
    local task=$1 log=$2 began=$SECONDS ticker code=0
    shift 2
    printf '%s' "duolu: $task ..."
    mkdir -p "$(dirname "$log")"
    tick "$log" &
    ticker=$!
    "$@" >"$log" 2>&1 </dev/null || code=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    if [ "$code" -ne 0 ]; then
        printf ' failed\n'
        show_log "$log"
        die "$task failed (exit status $code, command: $*). The whole log: $log"
    fi
    printf ' %s s\n' "$((SECONDS - began))"
}

# Prints the progress of a long step, until it is killed.
tick() {
    local log=$1 began=$SECONDS nap
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    while :; do
        sleep 10 &
        nap=$!
        wait "$nap"
        printf '\n  %s s: %s' "$((SECONDS - began))" \
            "$(tail -n 1 "$log" 2>/dev/null | tr -dc '[:print:]' | cut -c 1-100)"
    done
}
