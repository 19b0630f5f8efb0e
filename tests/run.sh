#!/bin/bash
# Runs the test suites and adds up what they say:  tests/run.sh [SUITE…]
# `./build.sh test` builds first and then calls this.
#
# Every file of every suite is a job, and what takes longest starts first. Tests
# mostly wait: as long as they leave a part of the CPUs to others, another job starts
# beside those that run; otherwise only DUOLU_TEST_JOBS do. The output of a job is
# shown in one piece when it has ended. The last line is `N passed, N failed`; a
# suite that ran no test has failed.
set -uo pipefail
export LC_ALL=C

# Linux shares the CPUs between sessions first (sched(7), autogroup): in one of their own
# the tests of live streams get their turn beside other work. Elsewhere a priority helps.
if [ -z "${DUOLU_TEST_SESSION:-}" ]; then
    [ "$(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null)" = 1 ] ||
        renice -n -10 -p $$ >/dev/null 2>&1
    DUOLU_TEST_SESSION=yes setsid "$0" "$@" &
    session=$!
    trap 'kill $session' INT TERM HUP
    wait $session || wait $session      # a signal ends the first
    exit
fi

repo=$(cd "$(dirname "$0")/.." && pwd -P)
out=$(mktemp -d)
least=${DUOLU_TEST_JOBS:-$(nproc)} most=$(($(nproc) * 4))     # jobs at a time
enough_left=20              # percent of the CPUs' last moment, for another job to start
job_limit=3600              # seconds; only a job that hangs meets it
all_suites="lint unit fuzz nginx hostile e2e browser"

# What takes longest starts first, or the last minutes would belong to one job.
longest=(e2e/docker browser/recordings nginx/grace e2e/auth-control nginx/dvr nginx/publishers browser/page)

suites=() job_suite=() job_label=() job_counter=() job_command=()
declare -A passed=() failed=() skipped=() seconds=() pids=()
reasons=()

# add SUITE COUNTER LABEL COMMAND…
add() {
    job_suite+=("$1") job_counter+=("$2") job_label+=("$3")
    shift 3
    job_command+=("$(printf '%q ' "$@")")
}

# add_files SUITE LABEL ENVIRONMENT FILE…: a job for each
add_files() {
    local suite=$1 label=$2 environment=$3 file
    shift 3
    for file; do
        [ -e "$file" ] || continue
        add "$suite" count_node "$label${file#"$repo/"}" env $environment node --test-reporter=tap "$file"
    done
}

add_suite() {
    case "$1" in
        unit)
            add unit count_cmocka "unit: auth-service" make -s -C "$repo/auth-service" test
            add unit count_cmocka "unit: media" make -s -C "$repo/tests/unit" test
            add unit count_cmocka "unit: model" "$repo/tests/model/run.sh"
            ;;
        fuzz) add fuzz count_cmocka "fuzz" make -s -C "$repo/tests/fuzz" test ;;
        nginx)
            # A few as the modules are shipped, as e2e, hostile and browser run them, too;
            # then all with ASan and UBSan in our modules.
            add_files nginx "" "" "$repo"/tests/nginx/{hub,flv,play,dvr,slow-viewers}.test.mjs
            add_files nginx "sanitized: " DUOLU_SANITIZE=1 "$repo"/tests/nginx/*.test.mjs
            return
            ;;
    esac
    add_files "$1" "" "" "$repo/tests/$1"/*.test.mjs
}

# What several jobs use is built once, before they start.
prepare() {
    local builds=() target log=$out/build
    [[ " ${suites[*]} " != *" nginx "* ]] || builds+=("$repo/modules/build.sh --sanitize")
    [[ ! " ${suites[*]} " =~ \ (unit|e2e|hostile|browser)\  ]] || builds+=("make -s -C $repo/auth-service SANITIZE=1")
    [[ " ${suites[*]} " != *" unit "* ]] || builds+=("make -s -C $repo/tests/unit dvr_recover mux_mp4")
    for target in "${builds[@]}"; do
        $target >"$log" 2>&1 && continue
        cat "$log"
        echo "tests/run.sh: '$target' failed" >&2
        echo "0 passed, 1 failed"
        exit 1
    done
}

# run_job NUMBER: its output, exit status and time go to files of its own.
run_job() {
    local began=$SECONDS code=0
    eval "timeout -k 20 $job_limit ${job_command[$1]}" </dev/null >"$out/$1.tap" 2>&1 || code=$?
    # told by the summary: a busy moment, or a race that is still to be found
    if [ "$code" -ne 0 ]; then
        sed 's/^/| /' "$out/$1.tap" >"$out/$1.first"
        code=0
        eval "timeout -k 20 $job_limit ${job_command[$1]}" </dev/null >"$out/$1.tap" 2>&1 || code=$?
    fi
    echo "$code $((SECONDS - began))" >"$out/$1.new"
    mv "$out/$1.new" "$out/$1.end"
}

# The numbers of all jobs, what takes longest first.
in_order() {
    local name number
    {
        for name in "${longest[@]}"; do
            for number in "${!job_label[@]}"; do
                [[ "${job_label[number]}" != *"tests/$name.test.mjs" ]] || echo "$number"
            done
        done
        [ ${#job_label[@]} -eq 0 ] || printf '%s\n' "${!job_label[@]}"
    } | awk '!seen[$1]++'
}

run_jobs() {
    local queue=() next=0 number
    mapfile -t queue < <(in_order)
    while [ $next -lt ${#queue[@]} ] || [ ${#pids[@]} -gt 0 ]; do
        for number in "${!pids[@]}"; do
            [ -e "$out/$number.end" ] || ! kill -0 "${pids[$number]}" 2>/dev/null || continue
            wait "${pids[$number]}"
            unset "pids[$number]"
            tell "$number"
        done
        sleep 0.5
        [ $next -lt ${#queue[@]} ] && may_start || continue
        run_job "${queue[next]}" &
        pids[${queue[next]}]=$!
        next=$((next + 1))
    done
}

# Is there room for one more job?
may_start() {
    measure_cpus
    [ ${#pids[@]} -ge "$least" ] || return 0
    [ ${#pids[@]} -lt "$most" ] && [ "$left_over" -ge "$enough_left" ]
}

# Sets `left_over`: what the tests left of the CPUs' time since the last call, in percent.
# Processes that began after this script count as the tests'.
cpus_before=0 ours_before=0
measure_cpus() {
    local numbers cpus ours
    read -ra numbers </proc/stat
    cpus=$(($(IFS=+; echo "${numbers[*]:1:8}")))
    # proc(5), of stat: 14 to 17 are CPU times, those of ended children included, 22 is when it began
    ours=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^.*) //' |
        awk -v began="$began" '$20 >= began { n += $12 + $13 + $14 + $15 } END { print n + 0 }')
    left_over=$((100 - 100 * (ours - ours_before) / (cpus - cpus_before + 1)))
    cpus_before=$cpus ours_before=$ours
}

# tell NUMBER: shows and counts what it left
tell() {
    local suite=${job_suite[$1]} label=${job_label[$1]} tap=$out/$1.tap code took
    local ok=0 bad=0 left=0
    { read -r code took <"$out/$1.end"; } 2>/dev/null || code=1 took=0
    echo "# $label ($took s)"
    if [ -e "$out/$1.first" ]; then
        cat "$out/$1.first"
        [ "$code" -ne 0 ] || reasons+=("passed only when it was run once more: $label")
    fi
    cat "$tap"
    [ "$code" -ne 124 ] || echo "# $label: ended after $job_limit s"
    "${job_counter[$1]}" "$tap"
    # died before it could count, or had nothing to count
    { [ "$code" -eq 0 ] && [ $((ok + bad + left)) -gt 0 ]; } || [ "$bad" -gt 0 ] || bad=1
    [ "$code" -eq 0 ] || echo "# $label: failed (exit status $code)"
    mapfile -t -O ${#reasons[@]} reasons < <(
        sed -n -e "s|^ *ok [0-9]* - \(.*\) # SKIP *\(.*\)|skipped: \2 ($label: \1)|p" \
            -e "s|^not ok [0-9]* # SKIP *\(.*\)|skipped: by itself ($label: \1)|p" "$tap")
    passed[$suite]=$((passed[$suite] + ok))
    failed[$suite]=$((failed[$suite] + bad))
    skipped[$suite]=$((skipped[$suite] + left))
    seconds[$suite]=$((seconds[$suite] + took))
}

# node:test and cmocka both speak TAP.  Only node ends it with totals.  The counters
# set `ok`, `bad` and `left` (those that were skipped).
count_node() {
    ok=$(sum '^# pass ' "$1")
    bad=$(($(sum '^# fail ' "$1") + $(sum '^# cancelled ' "$1")))
    left=$(sum '^# skipped ' "$1")
}

sum() { sed -n "s/$1\([0-9]*\)\$/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'; }

# cmocka says `not ok N # SKIP NAME` of what is skipped
count_cmocka() {
    left=$(grep -cE '^(not )?ok .*# SKIP' "$1")
    ok=$(grep '^ok ' "$1" | grep -vc '# SKIP')
    bad=$(grep '^not ok ' "$1" | grep -vc '# SKIP')
}

tell_totals() {
    local suite all_passed=0 all_failed=0
    echo
    for suite in "${suites[@]}"; do
        if [ $((passed[$suite] + failed[$suite] + skipped[$suite])) -eq 0 ]; then
            echo "# $suite: no test was run"
            failed[$suite]=1
        fi
        printf '%-8s %4d ok, %d not ok, %d skipped, %d s\n' \
            "$suite" "${passed[$suite]}" "${failed[$suite]}" "${skipped[$suite]}" "${seconds[$suite]}"
        all_passed=$((all_passed + passed[$suite]))
        all_failed=$((all_failed + failed[$suite]))
    done
    echo "all      in $SECONDS s"
    [ ${#reasons[@]} -eq 0 ] || printf '%s\n' "${reasons[@]}"
    echo "$all_passed passed, $all_failed failed"
    [ "$all_failed" -eq 0 ]
}

# ended with what it has started: timeout hands the signal on
end_jobs() {
    local pid
    for pid in "${pids[@]}"; do
        kill -- $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) 2>/dev/null
    done
    wait
}

main() {
    local suite
    suites=("$@")
    [ $# -gt 0 ] || read -ra suites <<<"$all_suites"
    for suite in "${suites[@]}"; do
        if [[ " $all_suites " != *" $suite "* ]]; then
            echo "tests/run.sh: '$suite' is not a suite: expected one of $all_suites" >&2
            exit 2
        fi
        passed[$suite]=0 failed[$suite]=0 skipped[$suite]=0 seconds[$suite]=0
        add_suite "$suite"
    done
    cd "$repo" || exit 1
    began=$(sed 's/^.*) //' /proc/$$/stat | cut -d ' ' -f 20)
    prepare
    # tests/tools/bin has a mariadb-install-db that copies what it made before
    chmod 711 "$out"
    mkdir -m 1777 "$out/db"
    export DUOLU_PREPARED=$out/db PATH="$repo/tests/tools/bin:$PATH"
    run_jobs
    tell_totals
}

trap 'rm -rf "$out"' EXIT
trap 'end_jobs; exit 130' INT TERM HUP
main "$@"
