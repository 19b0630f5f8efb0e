# shellcheck shell=bash
# Settings from the environment, the state folder, and who the services run as.

setting_names=(DUOLU_HTTP DUOLU_HTTPS DUOLU_RTMP DUOLU_RTMPS DUOLU_LISTEN DUOLU_HOST DUOLU_WORKERS DUOLU_FLUSH DUOLU_DB DUOLU_REC DUOLU_REC_DAYS DUOLU_REC_TOTAL DUOLU_REC_FREE)

read_settings() {
    home=$(realpath -m -- "${DUOLU_HOME:-$repo/run}")
    # these end up in nginx's and MariaDB's configuration as they are
    case "$repo$home" in
        *[[:space:]\"\'\\\$\;\{\}\#\@]*)
            die "the repo ($repo) and DUOLU_HOME ($home) may hold no space, quote or any of \\ \$ ; { } # @: choose other folders" ;;
    esac
    # sun_path of a unix socket holds 107 bytes and a zero
    local longest=$home/sock/control.sock
    [ ${#longest} -le 107 ] \
        || die "DUOLU_HOME is too long for unix sockets: $longest has ${#longest} bytes, 107 are possible. Set DUOLU_HOME to a shorter path"

    export DUOLU_HOME=$home
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
    choose_recordings
    choose_rtmps_inner
    choose_database
    choose_service_user
}

# Where recordings go, and how many may stay: 0 is no limit.
choose_recordings() {
    DUOLU_REC=$(realpath -m -- "${DUOLU_REC:-$home/rec}")
    export DUOLU_REC DUOLU_REC_DAYS=${DUOLU_REC_DAYS:-0} DUOLU_REC_TOTAL=${DUOLU_REC_TOTAL:-0} DUOLU_REC_FREE=${DUOLU_REC_FREE:-0}
    case "$DUOLU_REC" in
        *[[:space:]\"\'\\\$\;\{\}\#\@]*) die "DUOLU_REC is '$DUOLU_REC': it may hold no space, quote or any of \\ \$ ; { } # @" ;;
    esac
    [[ $DUOLU_REC_DAYS =~ ^[0-9]{1,5}$ ]] && [ "$DUOLU_REC_DAYS" -le 36500 ] \
        || die "DUOLU_REC_DAYS is '$DUOLU_REC_DAYS': expected a number of days up to 36500, 0 for no limit"
    check_size DUOLU_REC_TOTAL "$DUOLU_REC_TOTAL"
    check_size DUOLU_REC_FREE "$DUOLU_REC_FREE"
}

check_size() {
    [[ $2 =~ ^[0-9]{1,15}[kmgtKMGT]?$ ]] || die "$1 is '$2': expected bytes such as 500m, 20g or 2t, 0 for no limit"
}

# Where nginx hands decrypted RTMPS to itself: of the loopback network alone,
# since who reaches it names any client address.  The port's two bytes are in
# the address, so stacks side by side never meet.
choose_rtmps_inner() {
    rtmps_inner=127.19.$((DUOLU_RTMPS / 256)).$((DUOLU_RTMPS % 256))
    rtmps_inner_port=1937
    while [[ " $DUOLU_HTTP $DUOLU_HTTPS $DUOLU_RTMP $DUOLU_RTMPS " == *" $rtmps_inner_port "* ]]; do
        rtmps_inner_port=$((rtmps_inner_port + 1))
    done
}

check_port_number() {
    [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] && [ "$2" -le 65535 ] || die "$1 is '$2': expected a port from 1 to 65535"
}

# Two that are equal are in nobody else's use, and nginx would say so only as it starts.
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

# Without DUOLU_DB there is a private server, with a password made at first start.
choose_database() {
    export DUOLU_SQL=$repo/sql
    private_db=no
    [ -n "${DUOLU_DB:-}" ] && return
    private_db=yes
    [ ! -r "$home/secrets/db" ] || use_private_database
}

use_private_database() {
    database_password=$(<"$home/secrets/db")
    export DUOLU_DB="mysql://duolu:$database_password@localhost/duolu?socket=$home/sock/mysql.sock"
}

# A later `ctl` or `down` must find the stack as it was started, whatever the
# environment of that shell says.
save_settings() {
    local name
    for name in "${setting_names[@]}"; do
        [ "$name" != DUOLU_DB ] || [ "$private_db" = no ] || continue
        [ -z "${!name:-}" ] || printf '%s=%q\n' "$name" "${!name}"
    done >"$home/conf/settings"
    chmod 600 "$home/conf/settings"
}

read_saved_settings() {
    [ -r "$home/conf/settings" ] || return 0
    local name
    for name in "${setting_names[@]}"; do unset "$name"; done
    set -a
    # shellcheck source=/dev/null
    . "$home/conf/settings"
    set +a
    export DUOLU_RTMPS=${DUOLU_RTMPS:-1936}     # saved before there was RTMPS
    choose_recordings
    choose_rtmps_inner
    choose_database
}

# Root is for apt alone: services run as www-data where it can reach the files.
choose_service_user() {
    service_user=$(id -un)
    as_service=()
    [ "$(id -u)" -eq 0 ] || return 0
    if reachable_by www-data; then
        service_user=www-data
        as_service=(setpriv --reuid www-data --regid www-data --init-groups)
        if [ "$DUOLU_HTTP" -lt 1024 ] || [ "$DUOLU_HTTPS" -lt 1024 ] \
            || [ "$DUOLU_RTMP" -lt 1024 ] || [ "$DUOLU_RTMPS" -lt 1024 ]; then
            as_service+=(--inh-caps +net_bind_service --ambient-caps +net_bind_service)
        fi
    fi
}

# The state folder may not exist yet: then its nearest existing parent counts.
reachable_by() {
    local parent=$home
    while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
    [ "$parent" != "$home" ] || parent=$(dirname "$home")
    command -v setpriv >/dev/null && id "$1" >/dev/null 2>&1 \
        && setpriv --reuid "$1" --regid "$1" --init-groups test -r "$repo/build.sh" -a -x "$parent" 2>/dev/null
}

run_as_service() { "${as_service[@]}" "$@"; }

prepare_home() {
    if [ -d "$home" ] && [ ! -e "$home/.duolu" ] && [ -n "$(ls -A "$home")" ]; then
        die "DUOLU_HOME is $home, which exists, is not empty, and was not made by Duolu: choose an empty or new folder"
    fi
    if [ "$(id -u)" -eq 0 ] && [ "$service_user" = root ]; then
        warn "www-data cannot reach $repo or $home, so the services run as root"
    fi
    mkdir -p "$home" || die "cannot make DUOLU_HOME ($home): set it to a folder that you may write to"
    [ -w "$home" ] || die "cannot write to DUOLU_HOME ($home): it belongs to $(stat -c %U "$home")"
    chmod 711 "$home"
    : >>"$home/.duolu"
    (umask 077 && cd "$home" && mkdir -p conf log sock secrets tmp pid cache)
    prepare_recordings
    if [ "$(id -u)" -eq 0 ] && [ "$(stat -c %U "$home/secrets")" != "$service_user" ]; then
        chown -R "$service_user:" "$home"
    fi
    check_recordings
    tell_moved_recordings
    make_secret db "$(openssl rand -hex 16)"
    make_secret token.keys "k1 $(openssl rand -hex 32)"
    [ "$private_db" = no ] || use_private_database
    make_certificate
    render "$repo/conf/nginx.conf.in" "$home/conf/nginx.conf"
    render "$repo/conf/mariadb.cnf.in" "$home/conf/mariadb.cnf"
    save_settings
    chown_to_service conf/nginx.conf conf/mariadb.cnf conf/settings cache
}

# A folder that is there keeps its owner: it may be a disk of its own.
prepare_recordings() {
    [ ! -d "$DUOLU_REC" ] || return 0
    { mkdir -p "$(dirname "$DUOLU_REC")" && mkdir -m 750 "$DUOLU_REC"; } || die "cannot make DUOLU_REC ($DUOLU_REC): set it to a folder that you may write to"
    [ "$(id -u)" -ne 0 ] || chown "$service_user:" "$DUOLU_REC"
}

# Said now, since else nobody hears of it before the first recording; live goes on.
check_recordings() {
    run_as_service test -w "$DUOLU_REC" -a -x "$DUOLU_REC" \
        || warn "$service_user cannot write to DUOLU_REC ($DUOLU_REC, $(stat -c 'of %U, mode %a' "$DUOLU_REC")): nothing will be recorded until it can. Give it the folder (chown), or set DUOLU_REC to another"
}

# A setting left out this time must not look as if all were lost.
tell_moved_recordings() {
    local was=""
    # shellcheck source=/dev/null
    [ ! -r "$home/conf/settings" ] || was=$(unset DUOLU_REC && . "$home/conf/settings" && echo "${DUOLU_REC:-}")
    [ -n "$was" ] && [ "$was" != "$DUOLU_REC" ] && [ -d "$was/.spool" ] || return 0
    warn "recordings are in $was, where DUOLU_REC was until now, and none of them is shown from $DUOLU_REC: set DUOLU_REC=$was, or move them and run ./build.sh ctl reindex"
}

chown_to_service() {
    [ "$(id -u)" -ne 0 ] || (cd "$home" && chown "$service_user:" "$@")
}

# make_secret NAME TEXT: kept as it is once it is there.
make_secret() {
    [ ! -s "$home/secrets/$1" ] || return 0
    (umask 077 && printf '%s\n' "$2" >"$home/secrets/$1")
    chown_to_service "secrets/$1"
}

# Self-signed, remade when the names change; a certificate put there by hand
# (no tls.names beside it) is left alone.
make_certificate() {
    local dir=$home/secrets names="DNS:localhost,IP:127.0.0.1" address log=$home/log/openssl.log
    if [ "$DUOLU_LISTEN" = 0.0.0.0 ]; then
        for address in $(hostname -I 2>/dev/null); do names+=",IP:$address"; done
    elif [ "$DUOLU_LISTEN" != 127.0.0.1 ]; then
        names+=",IP:$DUOLU_LISTEN"
    fi
    case "${DUOLU_HOST:-}" in
        "" | localhost) ;;
        *[!0-9.]*) names+=",DNS:$DUOLU_HOST" ;;
        *) names+=",IP:$DUOLU_HOST" ;;
    esac
    if [ -s "$dir/tls.crt" ] && { [ ! -e "$dir/tls.names" ] || [ "$(cat "$dir/tls.names")" = "$names" ]; }; then
        return
    fi
    (
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
            -subj "/CN=duolu" -addext "subjectAltName=$names" \
            -keyout "$dir/tls.key" -out "$dir/tls.crt" >"$log" 2>&1
    ) || { show_log "$log"; die "making the TLS certificate failed, log: $log"; }
    printf '%s' "$names" >"$dir/tls.names"
    chown_to_service secrets/tls.key secrets/tls.crt secrets/tls.names
}

# render TEMPLATE FILE: @NAME@ becomes the value.
render() {
    local text files user_line=""
    # only a master that runs as root may, and must, name the workers' user
    [ "$(id -u)" -eq 0 ] && [ "$service_user" = root ] && user_line="user root;"
    # a worker gets as many files as the system lets this user have
    files=$(ulimit -Hn)
    [ "$files" != unlimited ] && [ "$files" -le 65536 ] || files=65536
    text=$(<"$1")
    text=${text//@HOME@/"$home"}
    text=${text//@REPO@/"$repo"}
    text=${text//@WORKERS@/"$DUOLU_WORKERS"}
    text=${text//@FILES@/"$files"}
    text=${text//@CONNECTIONS@/"$((files / 2))"}
    text=${text//@FLUSH@/"$DUOLU_FLUSH"}
    text=${text//@REC@/"$DUOLU_REC"}
    text=${text//@LISTEN@/"$DUOLU_LISTEN"}
    text=${text//@HTTP@/"$DUOLU_HTTP"}
    text=${text//@HTTPS@/"$DUOLU_HTTPS"}
    text=${text//@RTMP@/"$DUOLU_RTMP"}
    text=${text//@RTMPS@/"$DUOLU_RTMPS"}
    text=${text//@RTMPS_INNER@/"$rtmps_inner:$rtmps_inner_port"}
    text=${text//@USER_LINE@/"$user_line"}
    if [[ $text =~ @[A-Z_]+@ ]]; then die "$1 has ${BASH_REMATCH[0]}, which nothing sets"; fi
    (umask 077 && printf '%s\n' "$text" >"$2.new" && mv "$2.new" "$2")
}

check_ports() {
    check_port DUOLU_HTTP "$DUOLU_HTTP" "$DUOLU_LISTEN"
    check_port DUOLU_HTTPS "$DUOLU_HTTPS" "$DUOLU_LISTEN"
    check_port DUOLU_RTMP "$DUOLU_RTMP" "$DUOLU_LISTEN"
    check_port DUOLU_RTMPS "$DUOLU_RTMPS" "$DUOLU_LISTEN"
    check_port DUOLU_RTMPS "$rtmps_inner_port" "$rtmps_inner"
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
    [ -z "$holder" ] || die "port $2 on $3 is in use (by $holder): set $1 to a free port, or end what uses it"
}
