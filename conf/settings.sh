# shellcheck shell=bash
# Settings, from the environment or saved ones, and the users that run the services.

setting_names=(DUOLU_HTTP DUOLU_HTTPS DUOLU_RTMP DUOLU_RTMPS DUOLU_LISTEN DUOLU_HOST DUOLU_WORKERS DUOLU_FLUSH DUOLU_DB DUOLU_REC DUOLU_REC_DAYS DUOLU_REC_TOTAL DUOLU_REC_FREE DUOLU_REC_QUOTA DUOLU_MAX_KBPS DUOLU_LOG_SIZE DUOLU_HSTS DUOLU_EDGES)

read_settings() {
    home=$(realpath -m -- "${DUOLU_HOME:-$repo/run}")
    # these go unquoted into nginx's and MariaDB's configuration
    case "$repo$home" in
        *[[:space:]\"\'\\\$\;\{\}\#\@]*)
            die "the repo ($repo) and DUOLU_HOME ($home) may hold no space, quote or any of \\ \$ ; { } # @: choose other folders" ;;
    esac
    # sun_path of a unix socket holds 107 bytes and a zero
    local longest=$home/sock/control.sock
    [ ${#longest} -le 107 ] \
        || die "DUOLU_HOME is too long for unix sockets: $longest has ${#longest} bytes, at most 107 are allowed. Set DUOLU_HOME to a shorter path"

    export DUOLU_HOME=$home
    apply_settings
    choose_service_users
    choose_database
}

# Gives missing settings their defaults and checks every value before it is used.
apply_settings() {
    export DUOLU_HTTP=${DUOLU_HTTP:-8080} DUOLU_HTTPS=${DUOLU_HTTPS:-8443}
    export DUOLU_RTMP=${DUOLU_RTMP:-1935} DUOLU_RTMPS=${DUOLU_RTMPS:-1936}
    export DUOLU_LISTEN=${DUOLU_LISTEN:-127.0.0.1} DUOLU_WORKERS=${DUOLU_WORKERS:-2} DUOLU_FLUSH=${DUOLU_FLUSH:-auto}
    check_port_number DUOLU_HTTP "$DUOLU_HTTP"
    check_port_number DUOLU_HTTPS "$DUOLU_HTTPS"
    check_port_number DUOLU_RTMP "$DUOLU_RTMP"
    check_port_number DUOLU_RTMPS "$DUOLU_RTMPS"
    check_ports_differ DUOLU_HTTP DUOLU_HTTPS DUOLU_RTMP DUOLU_RTMPS
    [[ $DUOLU_WORKERS =~ ^[1-9][0-9]{0,2}$ ]] || die "DUOLU_WORKERS is '$DUOLU_WORKERS': expected a number from 1 to 999"
    [[ $DUOLU_FLUSH =~ ^(auto|[1-9][0-9]{0,2}ms)$ ]] || die "DUOLU_FLUSH is '$DUOLU_FLUSH': expected auto, or milliseconds such as 100ms"
    [[ $DUOLU_LISTEN =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "DUOLU_LISTEN is '$DUOLU_LISTEN': expected an IPv4 address such as 127.0.0.1 or 0.0.0.0"
    [[ ${DUOLU_HOST:-} =~ ^[A-Za-z0-9.-]*$ ]] || die "DUOLU_HOST is '$DUOLU_HOST': expected a host name or an IPv4 address"
    [[ ${DUOLU_DB:-} =~ ^[^[:space:][:cntrl:]\\]*$ ]] || die "DUOLU_DB may hold no space, control character or backslash (write %20, %5C in its password)"
    [[ ${DUOLU_EDGES:-} =~ ^[^[:cntrl:]]*$ ]] || die "DUOLU_EDGES may hold no control character"
    export DUOLU_EDGES=${DUOLU_EDGES:-}
    export DUOLU_LOG_SIZE=${DUOLU_LOG_SIZE:-20m} DUOLU_HSTS=${DUOLU_HSTS:-0}
    [[ $DUOLU_HSTS =~ ^[0-9]{1,9}$ ]] || die "DUOLU_HSTS is '$DUOLU_HSTS': expected seconds such as 31536000 (a year), 0 for none"
    check_size DUOLU_LOG_SIZE "$DUOLU_LOG_SIZE"
    choose_recordings
}

# Sets the folder of recordings and the limits for keeping them.
choose_recordings() {
    local quota=80%
    # if retention deletes old recordings, no quota is needed
    [ "${DUOLU_REC_DAYS:-0}${DUOLU_REC_TOTAL:-0}${DUOLU_REC_FREE:-0}" = 000 ] || quota=0
    DUOLU_REC=$(realpath -m -- "${DUOLU_REC:-$home/rec}")
    export DUOLU_REC DUOLU_REC_DAYS=${DUOLU_REC_DAYS:-0} DUOLU_REC_TOTAL=${DUOLU_REC_TOTAL:-0} DUOLU_REC_FREE=${DUOLU_REC_FREE:-0} DUOLU_REC_QUOTA=${DUOLU_REC_QUOTA:-$quota} DUOLU_MAX_KBPS=${DUOLU_MAX_KBPS:-50000}
    case "$DUOLU_REC" in
        *[[:space:]\"\'\\\$\;\{\}\#\@]*) die "DUOLU_REC is '$DUOLU_REC': it may hold no space, quote or any of \\ \$ ; { } # @" ;;
    esac
    [[ $DUOLU_REC_DAYS =~ ^[0-9]{1,5}$ ]] && [ "$DUOLU_REC_DAYS" -le 36500 ] \
        || die "DUOLU_REC_DAYS is '$DUOLU_REC_DAYS': expected a number of days up to 36500, 0 for no limit"
    check_size DUOLU_REC_TOTAL "$DUOLU_REC_TOTAL"
    check_share DUOLU_REC_FREE "$DUOLU_REC_FREE"
    check_share DUOLU_REC_QUOTA "$DUOLU_REC_QUOTA"
    [[ $DUOLU_MAX_KBPS =~ ^[0-9]{1,8}$ ]] || die "DUOLU_MAX_KBPS is '$DUOLU_MAX_KBPS': expected kbit/s such as 50000, 0 for no limit"
}

check_share() {
    [[ $2 =~ ^[0-9]{1,2}%$ ]] || check_size "$1" "$2" ", or a part of the disk such as 5%"
}

check_size() {
    [[ $2 =~ ^[0-9]{1,15}[kmgtKMGT]?$ ]] || die "$1 is '$2': expected bytes such as 500m, 20g or 2t, 0 for no limit${3:-}"
}

# bytes_of SIZE: prints it as a number.
bytes_of() {
    case "$1" in
        *[kK]) echo $((10#${1%?} << 10)) ;;
        *[mM]) echo $((10#${1%?} << 20)) ;;
        *[gG]) echo $((10#${1%?} << 30)) ;;
        *[tT]) echo $((10#${1%?} << 40)) ;;
        *) echo $((10#$1)) ;;
    esac
}

check_port_number() {
    [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] && [ "$2" -le 65535 ] || die "$1 is '$2': expected a port from 1 to 65535"
}

# check_ports does not notice two equal ports, since both are free; nginx would fail only at its start.
check_ports_differ() {
    local name other
    while [ $# -gt 1 ]; do
        name=$1
        shift
        for other; do
            [ "${!name}" -ne "${!other}" ] || die "$name and $other are both ${!name}: expected four different ports"
        done
    done
}

# Without DUOLU_DB the stack runs a private server, with a password made at the first start.
choose_database() {
    export DUOLU_SQL=$repo/sql
    private_db=no
    [ -n "${DUOLU_DB:-}" ] && return
    private_db=yes
    [ ! -r "$home/secrets/db" ] || ! is_mine "$home/secrets" || use_private_database
}

use_private_database() {
    database_password=$(<"$home/secrets/db")
    [[ $database_password =~ ^[0-9a-f]{32}$ ]] || die "$home/secrets/db does not hold 32 hex digits, as build.sh wrote it"
    export DUOLU_DB="mysql://duolu:$database_password@localhost/duolu?socket=$home/mysql/mysql.sock"
}

# Saves the settings as lines NAME=VALUE: a later `ctl` or `down` uses the settings with
# which the stack was started, not those of its own shell.
save_settings() {
    local name file=$home/conf/settings
    for name in "${setting_names[@]}"; do
        [ "$name" != DUOLU_DB ] || [ "$private_db" = no ] || continue
        [ -z "${!name:-}" ] || printf '%s=%s\n' "$name" "${!name}"
    done | write_file "$file" 600
}

# Prints the saved settings. If root does not own the folder yet, a service may have put
# any file there, so the folder's owner reads it, not root.
saved_settings() {
    if is_mine "$home/conf"; then
        cat "$home/conf/settings" 2>/dev/null || true
    else
        run_as nginx timeout 5 head -c 65536 "$home/conf/settings" 2>/dev/null || true
    fi
}

# saved_setting NAME TEXT: prints the value in lines NAME=VALUE. Never source the file: in
# older releases a service could write it.
saved_setting() {
    local line
    while IFS= read -r line; do
        [ "${line%%=*}" = "$1" ] || continue
        printf '%s\n' "${line//\\/}"        # older releases quoted it for the shell
    done <<<"$2" | sed "s/^$1=//; q"
}

read_saved_settings() {
    local name line saved
    saved=$(saved_settings)
    [ -n "$saved" ] || return 0
    unset "${setting_names[@]}"
    while IFS= read -r line; do
        for name in "${setting_names[@]}"; do
            [ "${line%%=*}" = "$name" ] && [ -z "${!name:-}" ] || continue
            line=${line//\\/}             # older releases quoted it for the shell
            export "$name=${line#*=}"
        done
    done <<<"$saved"
    apply_settings
    choose_database
}

is_root() { [ "$EUID" -eq 0 ]; }

# is_mine FOLDER: no other user can put links, pipes or files into it.
is_mine() { [ ! -L "$1" ] && [ -d "$1" ] && [ -O "$1" ]; }

# Each service runs as a user of its own, if that user can reach the files, else as
# www-data; only apt needs root. Groups hold files and sockets that services share:
#   duolu-keys    nginx, auth    the keys that tokens are signed with
#   duolu-nginx   nginx          TLS's key, and the sockets of auth and thumb
#   duolu-auth    auth           the sockets of MariaDB, and nginx's for control
#   www-data      nginx, thumb   recordings, to read
declare -A user_of=()
declare -A own_user=([nginx]=www-data [auth]=duolu-auth [db]=duolu-db [thumb]=duolu-thumb)
own_groups=(duolu-keys duolu-nginx duolu-auth duolu-db)
choose_service_users() {
    local service user
    user=$(id -un)
    if is_root && reachable_by www-data; then user=www-data; fi
    for service in nginx auth thumb db; do user_of[$service]=$user; done
    are_apart || return 0
    for service in auth thumb db; do
        if reachable_by "${own_user[$service]}"; then user_of[$service]=${own_user[$service]}; fi
    done
    # keep www-data if prepare_home found that recordings need it, and for a database on the operator's own disk
    if [ "$(stat -c %U "$home/auth" 2>/dev/null)" = www-data ]; then user_of[auth]=www-data; fi
    if [ -L "$home/db" ] && [ "$(stat -c %U "$home/db/" 2>/dev/null)" = www-data ]; then user_of[db]=www-data; fi
}

has_users() { id "${own_user[@]}" && getent group "${own_groups[@]}"; } >/dev/null 2>&1

# Do the services have users and groups of their own?
are_apart() { is_root && [ "${user_of[nginx]}" = www-data ] && has_users; }

# Makes the users and groups, as packages do. Another `up` may do the same at the same time.
make_users() {
    local group tries
    for ((tries = 5; tries > 0; tries--)); do
        ! has_users || return 0
        for group in "${own_groups[@]}"; do groupadd --system --force "$group"; done
        make_user thumb www-data
        make_user auth duolu-auth
        make_user db duolu-db
        has_users || sleep 0.1
    done >/dev/null 2>&1
    has_users
}

make_user() {
    id "${own_user[$1]}" || useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
        --gid "$2" "${own_user[$1]}" || true
}

# Can this user reach the repo and the state folder, or its nearest existing parent?
reachable_by() {
    local parent=$home
    while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
    [ "$parent" != "$home" ] || parent=$(dirname "$home")
    command -v setpriv >/dev/null && id "$1" >/dev/null 2>&1 \
        && env -u DUOLU_DB setpriv --reuid "$1" --regid "$(id -g "$1")" --init-groups test -r "$repo/build.sh" -a -x "$parent" 2>/dev/null
}

# run_as SERVICE COMMAND…: runs it as the user of nginx, auth, thumb or db, in a session
# without root's terminal, so that such a user cannot type into it.
run_as() {
    local command env=()
    # a process's user can read its environment
    [ "$1" = auth ] || env=(env -u DUOLU_DB -u DUOLU_EDGES)
    as_user "$1"
    shift
    "${env[@]}" setsid -w "${command[@]}" "$@"
}

# as_user SERVICE: sets `command` to the prefix that runs a command as the service's user.
as_user() {
    local group=www-data groups=--clear-groups
    command=()
    [ "${user_of[$1]}" != "$(id -un)" ] || return 0
    if are_apart; then
        case "$1" in
            nginx) groups=--groups=www-data,duolu-keys,duolu-nginx ;;
            auth) group=duolu-auth groups=--groups=duolu-keys ;;
            db) group=duolu-db ;;
        esac
        # without ACLs only nginx's user and group may use the recordings
        [ "$1/${user_of[$1]}" != auth/www-data ] || groups+=,www-data
    fi
    command+=(setpriv --reuid "${user_of[$1]}" --regid "$group" "$groups" --no-new-privs)
    if [ "$1" = nginx ] && { [ "$DUOLU_HTTP" -lt 1024 ] || [ "$DUOLU_HTTPS" -lt 1024 ] \
        || [ "$DUOLU_RTMP" -lt 1024 ] || [ "$DUOLU_RTMPS" -lt 1024 ]; }; then
        command+=(--inh-caps +net_bind_service --ambient-caps +net_bind_service)
    fi
}

check_ports() {
    check_port DUOLU_HTTP "$DUOLU_HTTP" "$DUOLU_LISTEN"
    check_port DUOLU_HTTPS "$DUOLU_HTTPS" "$DUOLU_LISTEN"
    check_port DUOLU_RTMP "$DUOLU_RTMP" "$DUOLU_LISTEN"
    check_port DUOLU_RTMPS "$DUOLU_RTMPS" "$DUOLU_LISTEN"
}

# check_port NAME PORT ADDRESS
check_port() {
    local holder
    holder=$(ss -Htlnp "sport = :$2" | awk -v listen="$3" '
        { address = $4; sub(/:[0-9]+$/, "", address) }
        listen == "0.0.0.0" || address == listen || address ~ /^(0\.0\.0\.0|\*|\[::\])$/ {
            print $4, $6
            exit
        }')
    [ -z "$holder" ] || die "port $2 on $3 is in use (by $holder): set $1 to a free port, or end the process that uses it"
}
