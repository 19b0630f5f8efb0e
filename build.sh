#!/bin/bash
# The one entry point: ./build.sh help
set -euo pipefail
export LC_ALL=C
umask 022

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
build=$repo/.build

# shellcheck source=conf/say.sh
. "$repo/conf/say.sh"
# shellcheck source=conf/packages.sh
. "$repo/conf/packages.sh"
# shellcheck source=conf/settings.sh
. "$repo/conf/settings.sh"
# shellcheck source=conf/home.sh
. "$repo/conf/home.sh"
# shellcheck source=conf/services.sh
. "$repo/conf/services.sh"
# shellcheck source=conf/keeper.sh
. "$repo/conf/keeper.sh"

usage() {
    cat <<'TEXT'
./build.sh up [-d]      install missing packages, build, start the stack, print its addresses;
                        Ctrl-C ends it (-d: leave it in the background, end it with `down`);
                        a service that ends by itself is restarted, by another `up` at once
./build.sh down         end all processes of this DUOLU_HOME
./build.sh build        install and compile only
./build.sh test [unit|fuzz|nginx|hostile|e2e|browser|lint]    run these test suites, or all
./build.sh lint         run only the lint suite
./build.sh ctl …        run duoluctl on the running stack (`ctl help` lists its commands)
./build.sh bench [quick] [recording|tls|hls|publishers|gate]    measure the costs: half an hour on an idle machine,
                        quick: three minutes; with a word: only its cost, two to four minutes; gate: publishers let in

environment             default        meaning
DUOLU_HOME              ./run          state: database, logs, secrets, sockets
DUOLU_HTTP              8080           HTTP-FLV for players; sends browsers to HTTPS
DUOLU_HTTPS             8443           the page, its API, media
DUOLU_RTMP              1935           port that phones push to
DUOLU_RTMPS             1936           the same over TLS
DUOLU_LISTEN            127.0.0.1      0.0.0.0 to serve other machines
DUOLU_HOST              (from LISTEN)  host name in the printed addresses
DUOLU_WORKERS           2              nginx workers
DUOLU_FLUSH             auto           interval of sending to viewers: auto, 10ms … 350ms
DUOLU_REC               DUOLU_HOME/rec  folder of recordings; may be a disk of its own
DUOLU_REC_DAYS          0              delete recordings after so many days; 0: no limit
DUOLU_REC_TOTAL         0              delete the oldest recordings beyond so many bytes, such as 500g; 0: no limit
DUOLU_REC_FREE          0              delete the oldest recordings to keep so much of their disk free, such as 5% or 20g
DUOLU_REC_QUOTA         80%            stop recording an owner at this part of the disk or so many bytes; 0: no limit
DUOLU_MAX_KBPS          50000          limit of kbit/s for each stream; 0: no limit
DUOLU_LOG_SIZE          20m            rotate a log at this size, and daily; keep nine old ones; 0: never
DUOLU_HSTS              0              seconds for which browsers use only HTTPS; needs a trusted certificate
DUOLU_EDGES             (none)         control sockets of caches in front, told of revocations: see conf/edge.conf
DUOLU_DB                (a private MariaDB)   mysql://USER[:PASS]@HOST[:PORT]/DB
TEXT
}

build_all() {
    if [ "${DUOLU_BUILT:-no}" = yes ]; then
        [ -x "$build/auth-service/duolu-auth" ] \
            || die "DUOLU_BUILT=yes, but $build/auth-service/duolu-auth is not built: run ./build.sh build"
        page_is_packed || "$repo/html/build.sh" >&2
        return
    fi
    install_missing "${packages_run[@]}" "${packages_build[@]}"
    mkdir -p "$build/log"
    # two builds at once would write the same files
    exec {build_lock}>>"$build/lock"
    await_lock "$build_lock" "$build/lock" "compiles in $build"
    run_logged "compiling the nginx modules" "$build/log/modules.log" "$repo/modules/build.sh"
    run_logged "compiling the auth-service" "$build/log/auth-service.log" \
        make -s -C "$repo/auth-service" "-j$(nproc)"
    run_logged "packing the page" "$build/log/html.log" "$repo/html/build.sh"
    exec {build_lock}>&-
}

# Is what nginx serves newer than the page's sources? A Docker image has none.
page_is_packed() {
    local packed=$build/html/index.html
    [ -d "$repo/html" ] || return 0
    [ -f "$packed" ] && [ -z "$(find "$repo/html" -newer "$packed" -type f -print -quit)" ]
}

command_up() {
    local detach=no
    case "${1:-}" in
        "") ;;
        -d) detach=yes ;;
        *) die "up: '$1' is not an option: expected -d or nothing" ;;
    esac
    read_settings
    claim_home
    if stack_is_running; then
        command_mend
        return
    fi
    end_keeper                  # all of its services have ended
    local began=$SECONDS
    build_all
    prepare_home
    check_ports
    trap 'interrupted' INT TERM HUP
    trap 'failed_up' EXIT
    start_everything
    # hold the home lock: otherwise a `down` in another shell could end the stack first, and this keeper would restart it
    if [ "$detach" = yes ]; then start_keeper; else become_keeper || die "another keeper runs for $home: ./build.sh down, then try again"; fi
    trap - EXIT
    release_home
    say "ready after $((SECONDS - began)) s"
    print_addresses
    if [ "$detach" = yes ]; then
        say "running in the background; ./build.sh down ends it"
    else
        say "Ctrl-C ends everything"
        supervise
    fi
}

# `up` for a stack that runs already: uses the saved settings, not those of this shell.
command_mend() {
    local missing outdated
    refuse_old_home
    read_saved_settings
    mapfile -t missing < <(missing_services)
    if [ ${#missing[@]} -gt 0 ]; then
        mend "${missing[@]}"
    else
        say "already running in $home (./build.sh down ends it)"
    fi
    mapfile -t outdated < <(outdated_services)
    [ ${#outdated[@]} -eq 0 ] || warn "what was built before still runs: ${outdated[*]}. To run what is built now: ./build.sh down, then up"
    start_keeper
    print_addresses
}

# Ends the services that a failed `up` has started.
failed_up() {
    local code=$?
    trap - EXIT INT TERM HUP
    stop_everything quietly
    exit "$code"
}

interrupted() {
    set +e                      # the terminal may be gone
    trap - EXIT
    trap '' INT TERM HUP
    echo
    say "ending everything"
    stop_everything
    exit 130
}

command_down() {
    read_settings
    if ! [ -e "$home/.duolu" ]; then
        say "nothing to end: $home is not a Duolu stack (set DUOLU_HOME?)"
        return 0
    fi
    claim_home
    stop_everything
    say "no service of $home is running"
}

# The keeper stays beside the services of `up -d`.
command_keep() {
    read_settings
    read_saved_settings
    become_keeper || return 0
    keep_services
}

command_ctl() {
    read_settings
    [ -e "$home/.duolu" ] || die "ctl: no stack in $home: run ./build.sh up first, or set DUOLU_HOME"
    refuse_old_home
    read_saved_settings
    local code=0
    duoluctl "$@" || code=$?
    [ "${1:-}" != status ] || tell_missing
    return "$code"
}

tell_missing() {
    local missing
    mapfile -t missing < <(missing_services)
    [ ${#missing[@]} -eq 0 ] || warn "not running: ${missing[*]}. $home/log/keeper.log says why; ./build.sh up tries to start it at once"
}

# Installs the tests' browser driver and WebSocket client with npm.
install_test_drivers() {
    local lock=$repo/tests/package-lock.json kept=$repo/tests/node_modules/.duolu-lock
    cmp -s "$lock" "$kept" && return
    mkdir -p "$build/log"
    run_logged "installing the tests' drivers" "$build/log/test-npm.log" \
        npm ci --prefix "$repo/tests" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$lock" "$kept"
}

command_test() {
    if [[ $# -gt 0 && "$*" =~ ^(lint|unit)(\ (lint|unit))*$ ]]; then
        install_missing "${packages_unit[@]}"
    else
        install_missing "${packages_test[@]}"
        install_test_drivers
        fetch_promtool
    fi
    build_all
    DUOLU_BUILT=yes exec "$repo/tests/run.sh" "$@"
}

# packages GROUP…: installs only these groups (docker/ makes a layer of each).
command_packages() {
    local group names=()
    for group; do
        case "$group" in
            run) names+=("${packages_run[@]}") ;;
            build) names+=("${packages_build[@]}") ;;
            serve) names+=("${packages_serve[@]}") ;;
            test) names+=("${packages_test[@]}") ;;
            image) names+=("${packages_image[@]}") ;;
            *) die "packages: '$group' is not a group: expected run, build, serve, test or image" ;;
        esac
    done
    install_missing "${names[@]}"
}

command_bench() {
    [ -x "$repo/tests/bench/run.sh" ] || die "bench: this tree has no tests/bench/run.sh"
    build_all
    install_missing "${packages_test[@]}"
    DUOLU_BUILT=yes exec "$repo/tests/bench/run.sh" "$@"
}

main() {
    local command=${1:-help}
    [ $# -gt 0 ] && shift
    case "$command" in
        up) command_up "$@" ;;
        down) command_down ;;
        keep) command_keep ;;
        users) make_users ;;
        build) build_all ;;
        test) command_test "$@" ;;
        lint) command_test lint ;;
        packages) command_packages "$@" ;;
        ctl) command_ctl "$@" ;;
        bench) command_bench "$@" ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            die "'$command' is not a command of build.sh"
            ;;
    esac
}

main "$@"
