# shellcheck shell=bash
# Start and end MariaDB, the auth-service, duolu-thumb and nginx of one DUOLU_HOME.
#
# Every service starts with its working directory in DUOLU_HOME: by that we recognise its
# processes as ours, since nginx overwrites its environment and its workers' command lines
# don't name the stack.

service_names=(nginx duolu-thumb duolu-auth mariadbd)       # in the order of ending
declare -A service_user=([nginx]=nginx [duolu-thumb]=thumb [duolu-auth]=auth [mariadbd]=db)
declare -A service_log=([nginx]=nginx [duolu-thumb]=thumb [duolu-auth]=auth [mariadbd]=mariadb)

# our_pids NAME: lists this stack's processes of that name.
our_pids() {
    local dir comm cwd
    for dir in /proc/[0-9]*; do
        { read -r comm <"$dir/comm"; } 2>/dev/null || continue
        [ "$comm" = "$1" ] || continue
        cwd=$(readlink "$dir/cwd" 2>/dev/null) || continue
        case "$cwd" in
            "$home" | "$home/db") ;;
            *) continue ;;
        esac
        ! is_root || is_service_user "$dir" || continue
        echo "${dir#/proc/}"
    done
}

# Any user may start a program of that name in that folder: root must end only processes of the services' users.
is_service_user() {
    local user
    user=$(stat -c %U "$1" 2>/dev/null) || return 1
    [[ " root ${own_user[*]} " == *" $user "* ]]
}

# top_pids NAME: lists those of our_pids whose parent is not among them.
top_pids() {
    local pids pid
    mapfile -t pids < <(our_pids "$1")
    for pid in "${pids[@]}"; do
        [[ " ${pids[*]} " == *" $(parent_of "$pid") "* ]] || echo "$pid"
    done
}

parent_of() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    line=${line##*) }           # its state, its parent, ...
    line=${line#* }
    echo "${line%% *}"
}

title_of() {
    local title=""
    { IFS= read -r -d '' title <"/proc/$1/cmdline"; } 2>/dev/null || true
    echo "$title"
}

# Lists the nginx masters whose workers accept new connections, or will, not one that was told to quit.
nginx_masters() {
    local pid
    for pid in $(our_pids nginx); do
        ! is_accepting_worker "$pid" || parent_of "$pid"
    done | sort -u | while read -r pid; do
        [[ "$(title_of "$pid")" != "nginx: master"* ]] || echo "$pid"
    done
}

# A new worker bears its master's title until it is ready, which takes long on a busy machine.
is_accepting_worker() {
    case "$(title_of "$1")" in
        "nginx: worker process" | "nginx: master"*) ;;
        *) return 1 ;;
    esac
}

stack_is_running() {
    local name
    for name in "${service_names[@]}"; do
        [ -z "$(our_pids "$name")" ] || return 0
    done
    return 1
}

# missing_services: lists the services that should run and don't, in the order of starting.
missing_services() {
    [ "$private_db" = no ] || [ -n "$(our_pids mariadbd)" ] || echo mariadbd
    [ -n "$(our_pids duolu-auth)" ] || echo duolu-auth
    [ -n "$(our_pids duolu-thumb)" ] || echo duolu-thumb
    { [ -n "$(nginx_masters)" ] && nginx_listens; } || echo nginx
}

# outdated_services: those that run a program or a module of ours which a build has replaced.
outdated_services() {
    local name pid
    for name in "${service_names[@]}"; do
        for pid in $(top_pids "$name"); do
            [[ "$(grep -sF " $build/" "/proc/$pid/maps")" != *" (deleted)"* ]] || { echo "$name"; break; }
        done
    done
}

# launch NAME COMMAND…: starts the command in a session of its own, so that Ctrl-C reaches
# only this script, which then ends the services in order.
launch() {
    local name=$1 log=$home/log/${service_log[$1]}.log command
    shift
    as_user "${service_user[$name]}"
    (
        cd "$home"
        trap - INT TERM HUP EXIT USR1
        close_locks
        umask 027               # the group may read recordings; all other files are in closed folders
        [ "$name" = duolu-auth ] || unset DUOLU_DB DUOLU_EDGES
        exec setsid "${command[@]}" "$@" >/dev/null 2>>"$log" </dev/null
    ) &
    pid_of[$name]=$!
    began_at[$name]=$SECONDS
}

declare -A pid_of=() began_at=()

# wait_ready TITLE NAME COMMAND…: waits until COMMAND succeeds.
wait_ready() {
    local title=$1 pid=${pid_of[$2]} log=$home/log/${service_log[$2]}.log deadline=$((SECONDS + 60)) said
    shift 2
    # each COMMAND has a bound of its own, so that the deadline is looked at
    until said=$("$@" 2>&1); do
        if ! kill -0 "$pid" 2>/dev/null; then
            show_log "$log"
            die "$title ended while it was starting. Log: $log"
        fi
        if [ $SECONDS -ge $deadline ]; then
            show_log "$log"
            die "$title was not ready after 60 s: '$*' said '${said##*$'\n'}'. Log: $log"
        fi
        sleep 0.1
    done
}

start_everything() {
    sweep
    [ "$private_db" = no ] || start_service mariadbd
    migrate
    start_service duolu-auth
    start_service duolu-thumb
    start_service nginx
    make_admin
    make_demo
}

start_service() {
    case "$1" in
        mariadbd)
            make_database
            say "starting MariaDB"
            launch_service mariadbd
            wait_ready "MariaDB" mariadbd database_answers
            make_database_user
            ;;
        duolu-auth)
            say "starting the auth-service"
            launch_service duolu-auth
            wait_ready "the auth-service" duolu-auth test -S "$home/auth/gate.sock" -a -S "$home/auth/api.sock"
            ;;
        duolu-thumb)
            say "starting duolu-thumb"
            launch_service duolu-thumb
            wait_ready "duolu-thumb" duolu-thumb test -S "$home/thumb/thumb.sock"
            ;;
        nginx)
            test_nginx_conf
            say "starting nginx with $DUOLU_WORKERS workers"
            launch_service nginx
            wait_ready "nginx" nginx page_answers
            ;;
    esac
}

# Ends workers without a master, and those of a master that was told to quit: they hold the
# ports, and get no revocations once the next nginx has the control socket.
end_old_nginx() {
    local pids
    mapfile -t pids < <(our_pids nginx)
    [ ${#pids[@]} -gt 0 ] || return 0
    tell "ending the remaining processes of the previous nginx (${pids[*]}): its viewers and publishers reconnect to the new one"
    kill -TERM "${pids[@]}" 2>/dev/null || true
    await_end nginx 10 || true
}

# launch_service NAME: starts the service and does not wait until it is ready.
launch_service() {
    local as=()
    case "$1" in
        mariadbd)
            # mariadbd refuses to run as root without this option
            [ "${user_of[db]}" != root ] || as=(--user=root)
            launch mariadbd mariadbd --defaults-file="$home/conf/mariadb.cnf" "${as[@]}"
            ;;
        duolu-auth)
            run_as auth rm -f "$home/auth/gate.sock" "$home/auth/api.sock"
            launch duolu-auth "$build/auth-service/duolu-auth"
            ;;
        duolu-thumb)
            run_as thumb rm -f "$home/thumb/thumb.sock"
            launch duolu-thumb "$build/auth-service/duolu-thumb"
            ;;
        nginx)
            end_old_nginx
            run_as nginx rm -f "$home/sock/control.sock" "$home/tmp/rtmps.sock"
            nginx_command
            launch nginx "${command[@]}" -g 'daemon off;'
            ;;
    esac
}

make_database() {
    local new=$home/db.new
    [ ! -d "$home/db" ] || return 0
    service_folder db.new db
    # an interrupted attempt left it; from a working folder that every user can return to
    (cd / && run_as db find "$new" -mindepth 1 -delete) \
        || die "$new holds files that ${user_of[db]}, as whom MariaDB runs, cannot delete: remove $new"
    # the database's superuser is the user that runs it, authenticated by the unix socket
    run_logged "making the database" "$home/log/mariadb-install.log" \
        in_home db mariadb-install-db --no-defaults --datadir="$new" --skip-test-db --force \
        --skip-name-resolve --innodb-log-file-size=8M --innodb-use-native-aio=0 --tmpdir="$home/mysql" \
        --auth-root-authentication-method=socket --auth-root-socket-user="${user_of[db]}"
    mv -T "$new" "$home/db"
}

make_database_user() {
    local log=$home/log/mariadb-user.log
    # by standard input, since every user can see a process's arguments
    database_root 60 >"$log" 2>&1 <<SQL || { show_log "$log"; die "preparing the database user failed. Log: $log"; }
CREATE DATABASE IF NOT EXISTS duolu CHARACTER SET utf8mb4;
CREATE OR REPLACE USER duolu@localhost IDENTIFIED BY '$database_password';
GRANT ALL ON duolu.* TO duolu@localhost;
SQL
}

# database_root SECONDS: has the superuser run the SQL of standard input, which takes at most so long.
database_root() { in_home db timeout -k 5 "$1" mariadb --no-defaults --socket="$home/mysql/mysql.sock" --user="${user_of[db]}"; }

database_answers() { database_root 10 <<<"SELECT 1" || adopt_database; }

# Connects as the superuser of a database that an older release made, adds the new superuser
# and drops the old one. The unix socket authenticates both.
adopt_database() {
    local old new=${user_of[db]}
    is_root && [ -S "$home/mysql/mysql.sock" ] || return 1
    for old in "${own_user[@]}"; do
        [ "$old" != "$new" ] && id "$old" >/dev/null 2>&1 || continue
        (cd "$home" && env -u DUOLU_DB setsid -w setpriv --reuid "$old" --regid "$(stat -c %g "$home/mysql")" --clear-groups --no-new-privs \
            timeout -k 5 10 mariadb --no-defaults --socket="$home/mysql/mysql.sock" --user="$old") <<SQL && return
CREATE OR REPLACE USER '$new'@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON *.* TO '$new'@localhost WITH GRANT OPTION;
DROP USER '$old'@localhost;
SQL
    done
    return 1
}

migrate() {
    run_logged "bringing the database's tables up to date" "$home/log/migrate.log" \
        in_home auth "$build/auth-service/duolu-auth" --migrate
}

in_home() { (cd "$home" && run_as "$@"); }

# Sets `command`; /usr/sbin is not in every user's PATH.
nginx_command() {
    command=("$(PATH=$PATH:/usr/sbin command -v nginx)" -p "$home/" -c "$home/conf/nginx.conf" -e "$home/log/nginx.log")
}

test_nginx_conf() {
    local log=$home/log/nginx-test.log
    nginx_conf_is_good 60 && return
    show_log "$log"
    die "nginx does not accept $home/conf/nginx.conf (made from conf/nginx.conf.in). Log: $log"
}

# nginx_conf_is_good SECONDS: would nginx start with its configuration? Says no after that time.
nginx_conf_is_good() {
    local log=$home/log/nginx-test.log command code=0
    nginx_command
    in_home nginx timeout -k 2 "$1" "${command[@]}" -t >"$log" 2>&1 || code=$?
    [ "$code" -ne 124 ] && [ "$code" -ne 137 ] || echo "nginx -t did not end within $1 s" >>"$log"
    return "$code"
}

# 401 is the auth-service's answer, through nginx, to a request without a login.
page_answers() {
    local status
    status=$(page_status)
    [ "$status" = 401 ] || { echo "HTTP status $status"; return 1; }
}

# Asks the kernel, not nginx: an nginx that is too busy to take a connection listens, and
# must not be ended for it. Assumes that it listens where the kernel cannot be asked.
nginx_listens() {
    local sockets
    sockets=$(timeout 5 ss -Htln "src $DUOLU_LISTEN:$DUOLU_HTTPS" 2>/dev/null) || return 0
    [ -n "$sockets" ]
}

page_status() {
    curl -sk -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 5 "$(page_url)api/me" || true
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

page_address() { if [ "$DUOLU_LISTEN" = 0.0.0.0 ]; then echo 127.0.0.1; else echo "$DUOLU_LISTEN"; fi; }

page_url() { echo "https://$(page_address):$DUOLU_HTTPS/"; }

duoluctl() { in_home auth "$build/auth-service/duoluctl" "$@"; }

# duoluctl exits with 3 if the user exists already, in a database older than this DUOLU_HOME.
make_admin() {
    local password log=$home/log/setup.log code=0
    [ ! -e "$home/secrets/admin" ] || return 0
    password=$(openssl rand -base64 15 | tr '+/' '-_')
    duoluctl user add admin --admin --password-stdin >"$log" 2>&1 <<<"$password" || code=$?
    case $code in
        0) make_secret admin "$password"; new_password=$password ;;
        3) say "the database already has a user admin, whose password is unchanged" ;;
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

# Ends nginx first, so that no new work comes, then the services behind it, then the database.
stop_everything() {
    local name
    end_keeper
    for name in "${service_names[@]}"; do
        stop_service "$name" "${1:-}"
    done
    sweep
}

# Removes pid files and sockets that killed processes left; duolu-thumb has a folder there, too.
sweep() {
    local service
    for service in nginx auth thumb db; do
        in_home "$service" find auth mysql pid sock thumb -mindepth 1 -maxdepth 1 ! -type d -user "${user_of[$service]}" -delete 2>/dev/null || true
    done
}

stop_service() {
    local name=$1 pids
    # signal only nginx's master: it ends its workers, and would restart workers that end first
    mapfile -t pids < <(top_pids "$name")
    [ ${#pids[@]} -gt 0 ] || return 0
    [ "$2" = quietly ] || say "ending $name"
    kill -TERM "${pids[@]}" 2>/dev/null || true
    await_end "$name" 20 || exit 1
}

# await_end NAME TIME: waits until the service has no process; kills those that take longer.
await_end() {
    local name=$1 pids deadline=$((SECONDS + $2)) signal=TERM
    while mapfile -t pids < <(our_pids "$name") && [ ${#pids[@]} -gt 0 ]; do
        if [ $SECONDS -ge $deadline ]; then
            [ "$signal" = TERM ] || { warn "process ${pids[*]} ($name) does not end, even by SIGKILL"; return 1; }
            warn "$name did not end within $2 s: killing ${pids[*]}"
            signal=KILL
            deadline=$((SECONDS + 10))
            kill -KILL "${pids[@]}" 2>/dev/null || true
        fi
        sleep 0.05
    done
}
