#!/bin/bash
# Runs the test suites and adds up their results:  tests/run.sh [SUITE…]
# `./build.sh test` builds first and then calls this.
#
# Every file of every suite is a job, and the longest jobs start first. Tests mostly
# wait, so another job starts as long as the tests leave a part of the CPUs unused;
# otherwise only DUOLU_TEST_JOBS jobs run at a time. Browsers compute: a CPU has at most
# one job of theirs. What computes without a clock gives way to live streams. The output
# of a job appears in one piece when the job has ended. The last line is
# `N passed, N failed`; a suite that ran no test counts as failed.
set -uo pipefail
export LC_ALL=C

# Linux first shares the CPUs between sessions (sched(7), autogroup). In a session of their
# own, tests of live streams get CPU time in time beside other work. Without autogroups, a
# higher priority helps.
if [ -z "${DUOLU_TEST_SESSION:-}" ]; then
    [ "$(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null)" = 1 ] ||
        renice -n -10 -p $$ >/dev/null 2>&1
    DUOLU_TEST_SESSION=yes setsid "$0" "$@" &
    session=$!
    trap 'kill $session' INT TERM HUP
    wait $session || wait $session      # a signal ends the first wait
    exit
fi

repo=$(cd "$(dirname "$0")/.." && pwd -P)
out=$(mktemp -d)
least=${DUOLU_TEST_JOBS:-$(nproc)} most=$(($(nproc) * 3))     # jobs at a time
enough_left=20              # percent of CPU time left by the tests that lets another job start
job_limit=3600              # seconds; only a job that hangs takes that long
all_suites="lint unit fuzz nginx hostile e2e browser"

# The longest jobs start first, or one of them would run alone at the end.
longest=(e2e/docker nginx/hls-back nginx/grace e2e/auth-control nginx/dvr nginx/publishers
    browser/wall browser/recordings)

suites=() job_suite=() job_label=() job_counter=() job_command=()
declare -A passed=() failed=() skipped=() seconds=() pids=()
reasons=()

# add SUITE COUNTER LABEL COMMAND…
add() {
    job_suite+=("$1") job_counter+=("$2") job_label+=("$3")
    shift 3
    job_command+=("$(printf '%q ' "$@")")
}

# add_files SUITE LABEL ENVIRONMENT FILE…: adds a job for each file
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
            # All files run with ASan and UBSan in our modules. Some also run with the
            # modules as shipped, which e2e, hostile and browser use, too.
            add_files nginx "" "" "$repo"/tests/nginx/{hub,flv,play,dvr,slow-viewers}.test.mjs
            add_files nginx "sanitized: " DUOLU_SANITIZE=1 "$repo"/tests/nginx/*.test.mjs
            return
            ;;
    esac
    add_files "$1" "" "" "$repo/tests/$1"/*.test.mjs
}

# Builds what several jobs use, before they start.
prepare() {
    local builds=() target log=$out/build
    [[ " ${suites[*]} " != *" nginx "* ]] || builds+=("$repo/modules/build.sh --sanitize")
    [[ ! " ${suites[*]} " =~ \ (unit|e2e|hostile|browser)\  ]] || builds+=("make -s -C $repo/auth-service SANITIZE=1")
    [[ " ${suites[*]} " != *" unit "* ]] || builds+=("make -s -C $repo/tests/unit dvr_recover mux_mp4 list_hls")
    for target in "${builds[@]}"; do
        $target >"$log" 2>&1 && continue
        cat "$log"
        echo "tests/run.sh: '$target' failed" >&2
        echo "0 passed, 1 failed"
        exit 1
    done
}

# run_job NUMBER: writes its output, exit status and time to files of its own
run_job() {
    local began=$SECONDS code=0
    case "${job_suite[$1]} ${job_label[$1]}" in
        unit* | fuzz* | *e2e/docker*) renice -n 5 -p "$BASHPID" >/dev/null ;;
    esac
    eval "timeout -k 20 $job_limit ${job_command[$1]}" </dev/null >"$out/$1.tap" 2>&1 || code=$?
    echo "$code $((SECONDS - began))" >"$out/$1.new"
    mv "$out/$1.new" "$out/$1.end"
}

# Prints the numbers of all jobs, the longest first, then each suite's spread over the whole
# run: browsers compute, and other tests mostly wait.
in_order() {
    local name number
    {
        for name in "${longest[@]}"; do
            for number in "${!job_label[@]}"; do
                [[ "${job_label[number]}" != *"tests/$name.test.mjs" ]] || echo "$number"
            done
        done
        for number in "${!job_label[@]}"; do echo "${job_suite[number]} $number"; done |
            awk '{ suite[NR] = $1; job[NR] = $2; at[NR] = count[$1]++ }
                 END { for (i = 1; i <= NR; i++) print (at[i] + 0.5) / count[suite[i]], job[i] }' |
            sort -n -s -k 1,1 | cut -d " " -f 2
    } | awk '!seen[$1]++'
}

run_jobs() {
    local queue=() next number
    mapfile -t queue < <(in_order)
    while [ ${#queue[@]} -gt 0 ] || [ ${#pids[@]} -gt 0 ]; do
        for number in "${!pids[@]}"; do
            [ -e "$out/$number.end" ] || ! kill -0 "${pids[$number]}" 2>/dev/null || continue
            wait "${pids[$number]}"
            unset "pids[$number]"
            report_job "$number"
        done
        sleep 0.5
        next_in_queue && may_start || continue
        number=${queue[next]}
        unset "queue[$next]"
        run_job "$number" &
        pids[$number]=$!
    done
}

# Sets `next` to the place of the first job in run_jobs' queue that needs no browser, or finds one free.
next_in_queue() {
    local number free
    free=$(nproc)
    for number in "${!pids[@]}"; do
        [ "${job_suite[number]}" != browser ] || free=$((free - 1))
    done
    for next in "${!queue[@]}"; do
        [ "${job_suite[${queue[next]}]}" = browser ] && [ "$free" -le 0 ] || return 0
    done
    return 1
}

# Whether one more job may start.
may_start() {
    measure_cpus
    [ ${#pids[@]} -ge "$least" ] || return 0
    [ ${#pids[@]} -lt "$most" ] && [ "$left_over" -ge "$enough_left" ]
}

# Sets `left_over`: the percentage of CPU time since the last call that the tests did not
# use. All processes that started after this script count as tests.
cpus_before=0 ours_before=0
measure_cpus() {
    local numbers cpus ours
    read -ra numbers </proc/stat
    cpus=$(($(IFS=+; echo "${numbers[*]:1:8}")))
    # proc(5), stat: fields 14 to 17 are CPU times, including ended children; 22 is the start time
    ours=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^.*) //' |
        awk -v began="$began" '$20 >= began { n += $12 + $13 + $14 + $15 } END { print n + 0 }')
    left_over=$((100 - 100 * (ours - ours_before) / (cpus - cpus_before + 1)))
    cpus_before=$cpus ours_before=$ours
}

# report_job NUMBER: prints the job's output and counts its results
report_job() {
    local suite=${job_suite[$1]} label=${job_label[$1]} tap=$out/$1.tap code took
    local ok=0 bad=0 left=0
    { read -r code took <"$out/$1.end"; } 2>/dev/null || code=1 took=0
    echo "# $label ($took s)"
    cat "$tap"
    [ "$code" -ne 124 ] || echo "# $label: ended after $job_limit s"
    "${job_counter[$1]}" "$tap"
    # A job that died before its results, or that has none, counts as one failure.
    { [ "$code" -eq 0 ] && [ $((ok + bad + left)) -gt 0 ]; } || [ "$bad" -gt 0 ] || bad=1
    [ "$code" -eq 0 ] || echo "# $label: failed (exit status $code)"
    mapfile -t -O ${#reasons[@]} reasons < <(
        sed -n -e "s|^ *ok [0-9]* - \(.*\) # SKIP *\(.*\)|skipped: \2 ($label: \1)|p" \
            "$tap"
        # cmocka gives no reason: the test prints one before
        awk -v label="$label" '/^# why: / { why = substr($0, 8) }
            sub(/^not ok [0-9]* # SKIP */, "") { print "skipped: " (why ? why : "no reason given") " (" label ": " $0 ")"; why = "" }' "$tap")
    passed[$suite]=$((passed[$suite] + ok))
    failed[$suite]=$((failed[$suite] + bad))
    skipped[$suite]=$((skipped[$suite] + left))
    seconds[$suite]=$((seconds[$suite] + took))
}

# node:test and cmocka both print TAP; only node ends it with totals.  The counters
# set `ok`, `bad` and `left` (skipped tests).
count_node() {
    ok=$(sum '^# pass ' "$1")
    bad=$(($(sum '^# fail ' "$1") + $(sum '^# cancelled ' "$1")))
    left=$(sum '^# skipped ' "$1")
}

sum() { sed -n "s/$1\([0-9]*\)\$/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'; }

# cmocka prints `not ok N # SKIP NAME` for a skipped test
count_cmocka() {
    left=$(grep -cE '^(not )?ok .*# SKIP' "$1")
    ok=$(grep '^ok ' "$1" | grep -vc '# SKIP')
    bad=$(grep '^not ok ' "$1" | grep -vc '# SKIP')
}

report_totals() {
    local suite all_passed=0 all_failed=0
    echo
    for suite in "${suites[@]}"; do
        if [ $((passed[$suite] + failed[$suite] + skipped[$suite])) -eq 0 ]; then
            echo "# $suite: no test ran"
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

# Ends the jobs with the processes that they started: timeout passes the signal on.
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
    # The mariadb-install-db in tests/tools/bin copies the data folder that it made the first time.
    chmod 711 "$out"
    mkdir -m 1777 "$out/db"
    export DUOLU_PREPARED=$out/db PATH="$repo/tests/tools/bin:$PATH"
    run_jobs
    report_totals
}

trap 'rm -rf "$out"' EXIT
trap 'end_jobs; exit 130' INT TERM HUP
main "$@"
