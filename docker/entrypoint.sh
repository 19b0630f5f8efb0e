#!/bin/bash
# One process of the stack in the foreground, for a container:
#   duolu auth | thumb | nginx      start it
#   duolu ctl …             duoluctl
#   duolu healthy auth|thumb|nginx
# All containers of a stack share DUOLU_HOME; the database is given by DUOLU_DB.
set -euo pipefail
export LC_ALL=C
umask 022

repo=/opt/duolu
build=$repo/.build
for part in say packages settings services; do
    # shellcheck source=/dev/null
    . "$repo/conf/$part.sh"
done

run_auth() {
    require_database
    local deadline=$((SECONDS + 120))
    until in_home "$build/auth-service/duolu-auth" --migrate; do
        [ $SECONDS -lt $deadline ] || die "no database after 120 s: look at DUOLU_DB and the database's log"
        sleep 1
    done
    rm -f "$home/sock/gate.sock" "$home/sock/api.sock"
    make_admin
    make_demo
    print_addresses
    cd "$home"
    exec "${as_service[@]}" "$build/auth-service/duolu-auth"
}

# It knows no secret and reaches no network: the others make the folder's content.
run_thumb() {
    local deadline=$((SECONDS + 120))
    until [ -w "$home/sock" ]; do
        [ $SECONDS -lt $deadline ] || die "no $home/sock after 120 s: duolu auth or nginx makes it, in the same volume"
        sleep 1
    done
    rm -f "$home/sock/thumb.sock"
    cd "$home"
    umask 077
    exec "${as_service[@]}" env -u DUOLU_DB "$build/auth-service/duolu-thumb"
}

run_nginx() {
    rm -f "$home/sock/control.sock"
    cd "$home"
    # the log file is kept for `ctl`; a container's log is read from its output
    tail -n 0 -F "$home/log/nginx.log" 2>/dev/null &
    umask 077
    exec "${as_service[@]}" nginx -p "$home/" -c "$home/conf/nginx.conf" -e "$home/log/nginx.log" -g 'daemon off;'
}

require_database() {
    [ "$private_db" = no ] || die "DUOLU_DB is not set: expected mysql://USER:PASS@HOST/DB (see .env.example)"
}

# Two containers start on one new folder: only one makes the secrets.
prepare_shared_home() {
    mkdir -p "$home"
    exec 9>"$home/.duolu"
    flock 9
    prepare_home
    exec 9>&-
}

healthy() {
    case "${1:-}" in
        auth) in_home "$build/auth-service/duoluctl" user list >/dev/null ;;
        # what listens there speaks no HTTP: 7 is curl's "cannot connect"
        thumb) curl -s -o /dev/null --max-time 5 --unix-socket "$home/sock/thumb.sock" http://duolu/ || [ $? -ne 7 ] ;;
        nginx) page_answers ;;
        *) die "healthy: '${1:-}' is not a service: expected auth, thumb or nginx" ;;
    esac
}

read_settings
case "${1:-}" in
    auth) prepare_shared_home; run_auth ;;
    thumb) run_thumb ;;
    nginx) prepare_shared_home; run_nginx ;;
    ctl) shift; in_home "$build/auth-service/duoluctl" "$@" ;;
    healthy) healthy "${2:-}" ;;
    *) die "'${1:-}' is not known here: expected auth, thumb, nginx, ctl … or healthy SERVICE" ;;
esac
