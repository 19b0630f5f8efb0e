#!/bin/bash
# One process of the stack in the foreground, for a container:
#   duolu auth | thumb | nginx      starts this service
#   duolu ctl …                     runs duoluctl
#   duolu healthy auth|thumb|nginx  checks that this service works
# All containers of a stack share DUOLU_HOME; DUOLU_DB names the database.
set -euo pipefail
export LC_ALL=C
umask 022

repo=/opt/duolu
build=$repo/.build
for part in say packages settings home services keeper; do
    # shellcheck source=/dev/null
    . "$repo/conf/$part.sh"
done

run_auth() {
    require_database
    local deadline=$((SECONDS + 120))
    until in_home auth "$build/auth-service/duolu-auth" --migrate; do
        [ $SECONDS -lt $deadline ] || die "the database does not answer after 120 s: check DUOLU_DB and the database's log"
        sleep 1
    done
    run_as auth rm -f "$home/auth/gate.sock" "$home/auth/api.sock"
    make_admin
    make_demo
    print_addresses
    cd "$home"
    umask 077
    run_forever auth "$build/auth-service/duolu-auth"
}

# duolu-thumb sees only recordings and the folder of its socket: no secret, no other socket, no network.
run_thumb() {
    local deadline=$((SECONDS + 120))
    until run_as thumb test -w "$home/thumb"; do
        [ $SECONDS -lt $deadline ] || die "no $home/thumb to write to after 120 s: duolu auth or nginx makes it, in the same volume"
        sleep 1
    done
    run_as thumb rm -f "$home/thumb/thumb.sock"
    cd "$home"
    umask 077
    run_forever thumb "$build/auth-service/duolu-thumb"
}

run_nginx() {
    local command
    run_as nginx rm -f "$home/sock/control.sock" "$home/tmp/rtmps.sock"
    cd "$home"
    # copy nginx's log file to the container's output, where operators look for it
    tail -n 0 -F "$home/log/nginx.log" 2>/dev/null &
    (keep_logs) &
    umask 027                   # duolu-thumb's group reads recordings
    unset DUOLU_DB DUOLU_EDGES
    nginx_command
    run_forever nginx "${command[@]}" -g 'daemon off;'
}

# run_forever SERVICE COMMAND…: replaces this process by the command, as that service's user.
run_forever() {
    local command
    as_user "$1"
    shift
    exec "${command[@]}" "$@"
}

require_database() {
    [ "$private_db" = no ] || die "DUOLU_DB is not set: expected mysql://USER:PASS@HOST/DB (see .env.example)"
}

# Two containers may start on one new folder: a lock lets only one make the secrets.
prepare_shared_home() {
    claim_home
    prepare_home
    release_home
}

healthy() {
    case "${1:-}" in
        auth) in_home auth "$build/auth-service/duoluctl" user list >/dev/null ;;
        # duolu-thumb does not speak HTTP: any exit status but 7 (curl cannot connect) shows that it listens
        thumb) curl -s -o /dev/null --max-time 5 --unix-socket "$home/thumb/thumb.sock" http://duolu/ || [ $? -ne 7 ] ;;
        nginx) page_answers ;;
        *) die "healthy: '${1:-}' is not a service: expected auth, thumb or nginx" ;;
    esac
}

read_settings
case "${1:-}" in
    auth) prepare_shared_home; run_auth ;;
    thumb) run_thumb ;;
    nginx) prepare_shared_home; run_nginx ;;
    ctl) shift; in_home auth "$build/auth-service/duoluctl" "$@" ;;
    healthy) healthy "${2:-}" ;;
    *) die "'${1:-}' is not a command: expected auth, thumb, nginx, ctl … or healthy SERVICE" ;;
esac
