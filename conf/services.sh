# shellcheck shell=bash
# Start, watch and end MariaDB, the auth-service, duolu-thumb and nginx of one
# DUOLU_HOME.
#
# Every service is started with its working directory in DUOLU_HOME.  That is
# how a process is known to be ours: nginx overwrites its environment, and its
# workers' command lines say nothing.

service_names="nginx duolu-thumb duolu-auth mariadbd"      # in the order they are ended

# our_pids NAME…: processes of this stack with one of these names.
our_pids() {
    local dir comm cwd
    for dir in /proc/[0-9]*; do
        { read -r comm <"$dir/comm"; } 2>/dev/null || continue
        [[ " $* " == *" $comm "* ]] || continue
        cwd=$(readlink "$dir/cwd" 2>/dev/null) || continue
        case "$cwd" in
            "$home" | "$home/db") echo "${dir#/proc/}" ;;
        esac
    done
}

# shellcheck disable=SC2086
stack_is_running() { [ -n "$(our_pids $service_names)" ]; }

# launch NAME LOG COMMAND…: in a session of its own, so that Ctrl-C reaches
# only this script, which then ends things in their order.
launch() {
    local name=$1 log=$2
    shift 2
    (
        cd "$home"
        trap - INT TERM HUP EXIT
        umask 077
        exec setsid "${as_service[@]}" "$@" >>"$log" 2>&1 </dev/null
    ) &
    launched[$!]=$name
    last_pid=$!
}

declare -A launched=()

# wait_ready WHAT PID LOG COMMAND…: until COMMAND succeeds.
wait_ready() {
    local what=$1 pid=$2 log=$3 deadline=$((SECONDS + 60))
    shift 3
    until "$@" >"$home/tmp/ready" 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null; then
            show_log "$log"
            die "$what ended while it was starting. Log: $log"
        fi
        if [ $SECONDS -ge $deadline ]; then
            show_log "$log"
            die "$what was not ready after 60 s: '$*' said '$(tail -n 1 "$home/tmp/ready")'. Log: $log"
        fi
        sleep 0.1
    done
}

start_everything() {
    launched=()
    local log
    for log in auth mariadb nginx thumb; do
        [ -e "$home/log/$log.log" ] || run_as_service touch "$home/log/$log.log"
    done
    [ "$private_db" = no ] || start_database
    migrate
    start_auth
    start_thumb
    start_nginx
    make_admin
    make_demo
}

start_database() {
    local log=$home/log/mariadb.log as=()
    # it refuses to be root unless it is told to be
    [ "$(id -u)" -ne 0 ] || [ "$service_user" != root ] || as=(--user=root)
    if [ ! -d "$home/db" ]; then
        rm -rf "$home/db.new"         # of an attempt that was cut off
        # the database's superuser is the one that runs it, known by the unix socket
        run_logged "making the database" "$home/log/mariadb-install.log" \
            run_as_service mariadb-install-db --no-defaults --datadir="$home/db.new" --skip-test-db --force \
            --skip-name-resolve --innodb-log-file-size=8M --innodb-use-native-aio=0 --tmpdir="$home/tmp" \
            --auth-root-authentication-method=socket --auth-root-socket-user="$service_user"
        mv "$home/db.new" "$home/db"
    fi
    say "starting MariaDB"
    launch mariadbd "$log" mariadbd --defaults-file="$home/conf/mariadb.cnf" "${as[@]}"
    wait_ready "MariaDB" "$last_pid" "$log" database_root "SELECT 1"
    database_root "CREATE DATABASE IF NOT EXISTS duolu CHARACTER SET utf8mb4;
        CREATE OR REPLACE USER duolu@localhost IDENTIFIED BY '$database_password';
        GRANT ALL ON duolu.* TO duolu@localhost;" >>"$log" 2>&1 \
        || { show_log "$log"; die "preparing the database user failed. Log: $log"; }
}

database_root() {
    run_as_service mariadb --no-defaults --socket="$home/sock/mysql.sock" --user="$service_user" -e "$1"
}

migrate() {
    local log=$home/log/migrate.log
    run_logged "bringing the database's tables up to date" "$log" \
        in_home "$build/auth-service/duolu-auth" --migrate
}

in_home() { (cd "$home" && run_as_service "$@"); }

start_auth() {
    local log=$home/log/auth.log
    rm -f "$home/sock/gate.sock" "$home/sock/api.sock"
    say "starting the auth-service"
    launch duolu-auth "$log" "$build/auth-service/duolu-auth"
    wait_ready "the auth-service" "$last_pid" "$log" test -S "$home/sock/gate.sock" -a -S "$home/sock/api.sock"
}

start_thumb() {
    local log=$home/log/thumb.log
    say "starting duolu-thumb"
    launch_thumb
    wait_ready "duolu-thumb" "$last_pid" "$log" test -S "$home/sock/thumb.sock"
}

# It decodes what strangers sent, and has no business with the database.
launch_thumb() {
    rm -f "$home/sock/thumb.sock"
    launch duolu-thumb "$home/log/thumb.log" env -u DUOLU_DB "$build/auth-service/duolu-thumb"
    thumb_began=$SECONDS
}

nginx_command=(nginx -p "" -c "" -e "")

start_nginx() {
    local log=$home/log/nginx.log test_log=$home/log/nginx-test.log
    rm -f "$home/sock/control.sock"
    nginx_command=("$(nginx_path)" -p "$home/" -c "$home/conf/nginx.conf" -e "$log")
    if ! in_home "${nginx_command[@]}" -t >"$test_log" 2>&1; then
        show_log "$test_log"
        die "nginx does not accept $home/conf/nginx.conf (made from conf/nginx.conf.in). Log: $test_log"
    fi
    say "starting nginx with $DUOLU_WORKERS workers"
    launch nginx "$log" "${nginx_command[@]}" -g 'daemon off;'
    wait_ready "nginx" "$last_pid" "$log" page_answers
}

# /usr/sbin is not in every user's PATH
nginx_path() { PATH=$PATH:/usr/sbin command -v nginx; }

# 401 is the auth-service's answer, through nginx, to nobody in particular.
page_answers() {
    [ "$(curl -sk -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 5 "$(page_url)api/me")" = 401 ]
}

url_host() {
    if [ -n "${DUOLU_HOST:-}" ]; then
        echo "$DUOLU_HOST"
    elif [ "$DUOLU_LISTEN" = 0.0.0.0 ]; then
        set -- $(hostname -I 2>/dev/null)
        echo "${1:-127.0.0.1}"
    else
        echo "$DUOLU_LISTEN"
    fi
}

page_url() {
    local address=$DUOLU_LISTEN
    [ "$address" != 0.0.0.0 ] || address=127.0.0.1
    echo "https://$address:$DUOLU_HTTPS/"
}

duoluctl() { in_home "$build/auth-service/duoluctl" "$@"; }

# duoluctl's exit status 3: it exists already (in a database older than this DUOLU_HOME)
make_admin() {
    local password log=$home/log/setup.log code=0
    [ ! -e "$home/secrets/admin" ] || return 0
    password=$(openssl rand -base64 15 | tr '+/' '-_')
    duoluctl user add admin --admin --password-stdin >"$log" 2>&1 <<<"$password" || code=$?
    case $code in
        0) make_secret admin "$password"; new_password=$password ;;
        3) say "this database already has a user admin, whose password stays as it is" ;;
        *) show_log "$log"; die "making the user admin failed. Log: $log" ;;
    esac
}

make_demo() {
    local key log=$home/log/setup.log code=0
    [ ! -e "$home/secrets/demo.key" ] || return 0
    key=$(duoluctl stream add live/demo --owner admin 2>"$log") || code=$?
    key=$(sed -n 's/^key //p' <<<"$key")
    case $code in
        0) make_secret demo.key "$key" ;;
        3) ;;
        *) show_log "$log"; die "making the stream live/demo failed. Log: $log" ;;
    esac
}

print_addresses() {
    local host rtmp rtmps key
    host=$(url_host)
    rtmp=rtmp://$host:$DUOLU_RTMP
    [ "$DUOLU_RTMP" != 1935 ] || rtmp=rtmp://$host
    rtmps=rtmps://$host:$DUOLU_RTMPS
    key=$(cat "$home/secrets/demo.key" 2>/dev/null) || key="KEY (a new one: ./build.sh ctl stream key rotate live/demo)"
    cat <<TEXT

  page            https://$host:$DUOLU_HTTPS/   (its certificate is self-signed)
  admin login     admin  ${new_password:-(its password: $home/secrets/admin)}
  publish to      $rtmp/live   stream name and key: demo?key=$key
  over TLS        $rtmps/live   (the same name and key)
  a test picture  ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=25 -f lavfi -i sine=frequency=440 -c:v libx264 -preset veryfast -tune zerolatency -g 25 -pix_fmt yuv420p -c:a aac -f flv '$rtmp/live/demo?key=$key'
  logs            $home/log/

TEXT
}

# Foreground `up`: until Ctrl-C, or until a service ends that should not.
supervise() {
    local ended code
    while
        code=0
        wait -n -p ended "${!launched[@]}" || code=$?
        thumb_alone_ended "$ended"
    do
        restart_thumb "$ended" "$code"
    done
    trap - EXIT INT TERM HUP
    case "${launched[$ended]:-}" in
        mariadbd) show_log "$home/log/mariadb.log" ;;
        duolu-auth) show_log "$home/log/auth.log" ;;
        nginx) show_log "$home/log/nginx.log" ;;
    esac
    # `down` from another shell ends all of them, and that is no failure
    if [ "$code" -eq 0 ] || [ "$code" -eq 143 ]; then
        stop_everything quietly
        say "ended"
        exit 0
    fi
    stop_everything
    die "${launched[$ended]:-a service} ended by itself (exit status $code), so everything was ended. Logs: $home/log/"
}

# Pictures of recordings are not worth a stream: without them all else goes on.
# Where nginx is gone too, `down` is at work.
thumb_alone_ended() {
    [ "${launched[$1]:-}" = duolu-thumb ] && [ -n "$(our_pids nginx)" ]
}

restart_thumb() {
    local what="duolu-thumb ended by itself (exit status $2)"
    unset "launched[$1]"
    if [ $((SECONDS - thumb_began)) -lt 10 ]; then
        warn "$what soon after its start: there are no pictures of recordings until the next \`up\`. Log: $home/log/thumb.log"
    else
        warn "$what, and is started again. Log: $home/log/thumb.log"
        launch_thumb
    fi
}

# First nginx (no new work), then what it asks, then the database.
stop_everything() {
    local name
    for name in $service_names; do
        stop_service "$name" "${1:-}"
    done
    rm -f "$home"/pid/*.pid "$home"/sock/*.sock "$home/tmp/ready"
}

stop_service() {
    local name=$1 pids master deadline=$((SECONDS + 20)) signal=TERM
    mapfile -t pids < <(our_pids "$name")
    [ ${#pids[@]} -gt 0 ] || return 0
    [ "$2" = quietly ] || say "ending $name"
    # nginx's master ends its workers; told first, they would be started again
    read -r master 2>/dev/null <"$home/pid/$name.pid" || master=""
    if [ -n "$master" ] && [[ " ${pids[*]} " == *" $master "* ]]; then pids=("$master"); fi
    kill -TERM "${pids[@]}" 2>/dev/null || true
    while mapfile -t pids < <(our_pids "$name") && [ ${#pids[@]} -gt 0 ]; do
        if [ $SECONDS -ge $deadline ]; then
            [ "$signal" = TERM ] || die "process ${pids[*]} ($name) does not end, even by SIGKILL"
            warn "$name did not end within 20 s: killing ${pids[*]}"
            signal=KILL
            deadline=$((SECONDS + 10))
            kill -KILL "${pids[@]}" 2>/dev/null || true
        fi
        sleep 0.05
    done
}
