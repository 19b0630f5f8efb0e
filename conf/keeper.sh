# shellcheck shell=bash
# The keeper runs beside the services, in the foreground or left by `up -d`: it rotates
# the logs and restarts services that end by themselves.

declare -A log_service=([nginx]=nginx [access]=nginx [auth]=auth [thumb]=thumb [mariadb]=db)
log_kept=9                      # old files of each log: NAME.log.1 is the newest
log_age=86400                   # seconds after which a log is rotated, however small
restart_most=60                 # longest pause (s) before restarting a service that keeps ending

keeper_lock=""
close_locks() {
    [ -z "${home_lock:-}" ] || exec {home_lock}>&-
    [ -z "$keeper_lock" ] || exec {keeper_lock}>&-
}

# become_keeper: a lock allows one keeper for each DUOLU_HOME, until its process ends.
become_keeper() {
    (umask 077 && : >>"$home/.keeper")
    exec {keeper_lock}<>"$home/.keeper"
    # wait a little: keeper_runs in another shell holds the lock for a moment
    flock -w 2 "$keeper_lock" || { exec {keeper_lock}>&-; keeper_lock=""; return 1; }
    echo $$ >"$home/.keeper"
}

keeper_runs() {
    local code=0
    [ -e "$home/.keeper" ] || return 1
    [ -z "$keeper_lock" ] || return 0
    flock -n "$home/.keeper" true || code=$?
    [ "$code" -ne 0 ]
}

# holds_keeper PID: does the process that has this PID now have the keeper's file open?
holds_keeper() {
    local fd
    [[ $1 =~ ^[1-9][0-9]*$ ]] || return
    for fd in "/proc/$1/fd"/*; do
        [ ! "$fd" -ef "$home/.keeper" ] || return 0
    done
    return 1
}

# Ends the keeper; it leaves the services running, which the caller ends. The PID in its
# file may be stale and reused by another process: only the lock shows that a keeper runs.
end_keeper() {
    local pid="" deadline=$((SECONDS + 20))
    [ -z "$keeper_lock" ] || return 0
    while keeper_runs; do
        read -r pid <"$home/.keeper" || pid=""
        if holds_keeper "$pid"; then kill -USR1 "$pid" 2>/dev/null || true; fi
        [ $SECONDS -lt $deadline ] || die "process ${pid:-?}, which looks after $home, does not end"
        flock -w 1 "$home/.keeper" true || true
    done
}

start_keeper() {
    ! keeper_runs || return 0
    (
        cd "$home"
        close_locks
        exec setsid "$repo/build.sh" keep >/dev/null 2>&1 </dev/null
    ) &
    # wait until it has the lock: a `down` right after this must find it
    local pid=$! deadline=$((SECONDS + 60))
    until keeper_runs; do
        if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
            warn "the keeper ($pid), which rotates the logs and restarts services, has not started: ./build.sh up tries again"
            return 0
        fi
        sleep 0.05
    done
}

# Rotates logs only, where a supervisor restarts the services; ends when none of them runs any more.
keep_logs() {
    local round=0
    while [ $((++round % 12)) -ne 0 ] || stack_is_running; do
        rotate_logs 2>>"$home/log/keeper.log" || true
        nap 5
    done
}

# Sleeps without a child process, which would outlive this shell.
nap() {
    [ -n "${nap_pipe:-}" ] || exec {nap_pipe}<> <(:)
    read -r -t "$1" -u "$nap_pipe" || true
}

# Looks after the services of a foreground `up`, until Ctrl-C or `down` in another shell.
supervise() {
    leave=no
    # set a variable only: a handler that reads during bash's read -t would wait for its input
    trap 'leave=interrupted' INT TERM HUP
    look_after
    [ "$leave" = yes ] || interrupted
    say "ended"
}

# Looks after services in the background; leaves them running when it ends.
keep_services() {
    leave=no
    trap 'leave=yes' INT TERM
    trap '' HUP
    look_after
}

look_after() {
    local round=0 name
    declare -A restart_at=() pause=() idle=()
    trap 'leave=yes' USR1
    while [ "$leave" = no ] && [ -e "$home/.keeper" ]; do
        for name in "${service_names[@]}"; do
            if [ "$name" = mariadbd ] && [ "$private_db" = no ]; then
                continue
            elif [ -n "${restart_at[$name]:-}" ]; then
                [ $SECONDS -lt "${restart_at[$name]}" ] || restart "$name" || true
            elif ! goes_on "$name"; then
                plan_restart "$name" || true
            fi
        done
        [ $((round++ % 5)) -ne 0 ] || rotate_logs 2>>"$home/log/keeper.log" || true
        nap 1
    done
}

# tell TEXT: writes to the terminal, if there is one, and to the keeper's log.
tell() {
    warn "$*"
    printf '%(%F %T)T %s\n' -1 "$*" >>"$home/log/keeper.log" || true
}

# goes_on NAME: does the service do its work? Adopts one that another shell started.
goes_on() {
    [ -n "${pid_of[$1]:-}" ] || adopt "$1" || return
    runs "$1" || return
    [ "$1" != nginx ] || ! is_idle
}

# adopt NAME: looks after the running process of that service.
adopt() {
    local pid
    if [ "$1" = nginx ]; then pid=$(nginx_masters); else pid=$(top_pids "$1"); fi
    [ -n "$pid" ] || return
    pid_of[$1]=${pid%%$'\n'*}
    began_at[$1]=$SECONDS
}

# runs NAME: believes the PID for the first 10 s, before the shell has become the service by
# exec. Later checks name and working folder, which a zombie no longer has.
runs() {
    local pid=${pid_of[$1]:-}
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return
    [ $((SECONDS - began_at[$1])) -ge 10 ] || return 0
    is_itself "$1" && { [ "/proc/$pid/cwd" -ef "$home" ] || [ "/proc/$pid/cwd" -ef "$home/db" ]; }
}

is_itself() {
    local comm=""
    { read -r comm <"/proc/${pid_of[$1]}/comm"; } 2>/dev/null && [ "$comm" = "$1" ]
}

# Does nginx run without a worker that accepts connections? Ignores the moment after a
# worker died; counts an nginx that was told to quit, which may take an hour to end.
is_idle() {
    if nginx_accepts; then idle[nginx]=0; return 1; fi
    idle[nginx]=$((${idle[nginx]:-0} + 1))
    [ "${idle[nginx]}" -ge 3 ]
}

nginx_accepts() {
    local pid=${pid_of[nginx]} worker workers=""
    # a kernel without this list: assume that it accepts, `up` checks in another way
    [ -e "/proc/$$/task/$$/children" ] || return 0
    { read -r workers <"/proc/$pid/task/$pid/children"; } 2>/dev/null || true
    for worker in $workers; do
        ! is_accepting_worker "$worker" || return 0
    done
    return 1
}

# Plans a restart; the other services go on. Doubles the pause if it ran for less than a minute.
plan_restart() {
    local name=$1 code=0 what="ended by itself"
    if runs "$name"; then
        what="takes no new connections"
    elif [ -n "${pid_of[$name]:-}" ] && ! kill -0 "${pid_of[$name]}" 2>/dev/null; then
        wait "${pid_of[$name]}" 2>/dev/null || code=$?
        # 127: it is another shell's child, and only that shell gets its exit status
        [ "$code" -eq 127 ] || what="$what (exit status $code)"
    fi
    # `down` ends this process before it ends the services
    [ "$leave" = no ] || return 0
    if [ $((SECONDS - ${began_at[$name]:-0})) -ge $restart_most ]; then pause[$name]=0; fi
    put_off "$name"
    tell "$name $what, and is started again in ${pause[$name]} s. Log: $home/log/${service_log[$name]}.log"
}

# put_off NAME: restarts it after a pause, which doubles each time.
put_off() {
    local name=$1
    if [ "${pause[$name]:-0}" -eq 0 ]; then
        pause[$name]=1
    else
        pause[$name]=$((pause[$name] * 2 < restart_most ? pause[$name] * 2 : restart_most))
    fi
    restart_at[$name]=$((SECONDS + pause[$name]))
}

restart() {
    local name=$1 lock deadline=$((SECONDS + 10))
    exec {lock}>>"$home/.duolu"
    if flock -n "$lock"; then
        # another `up` may have started it
        if adopt "$name" || launch_again "$name"; then
            unset "restart_at[$name]"
            # keep the lock until the process is recognisable, or an `up` would start another one
            until stands "$name" || ! runs "$name" || [ $SECONDS -ge $deadline ]; do nap 0.1; done
            ! stands "$name" || idle[$name]=0
        fi
    fi
    exec {lock}>&-
}

# launch_again NAME: launching nginx ends the remaining workers of the previous one, which may
# serve viewers. So it happens only with a configuration that nginx accepts.
launch_again() {
    if [ "$1" = nginx ] && ! nginx_conf_is_good 15; then
        put_off nginx
        tell "nginx is not started, since nginx -t refuses $home/conf/nginx.conf ($(grep -v 'test failed$' "$home/log/nginx-test.log" | tail -n 1)). The remaining workers of the previous nginx go on. Tried again in ${pause[nginx]} s. Log: $home/log/nginx-test.log"
        return 1
    fi
    [ "$leave" = no ] || return 1   # told so while nginx -t ran
    idle[$1]=-$restart_most         # it may take long until it accepts connections
    home_lock=$lock launch_service "$1"
}

# stands NAME: would `up` recognise it as running?
stands() { if [ "$1" = nginx ]; then nginx_accepts; else is_itself "$1"; fi; }

# mend MISSING…: starts the missing services of a running stack.
mend() {
    local name
    say "running in $home, but without $*: starting that"
    for name; do start_service "$name"; done
}

# rotate_logs: rotates each log that is large or a day old.
rotate_logs() {
    local name file size birth most now again=()
    most=$(bytes_of "$DUOLU_LOG_SIZE")
    [ "$most" -gt 0 ] || return 0
    now=$(printf '%(%s)T' -1)
    while read -r size birth file; do
        # birth is 0 where the file system does not record it
        [ "$size" -ge "$most" ] || { [ "$size" -gt 0 ] && [ "$birth" -gt 0 ] && [ $((now - birth)) -ge $log_age ]; } || continue
        name=${file##*/}
        name=${name%.log}
        turn_over "$file" "${log_service[$name]:-}" && again+=("$name")
    done < <(stat -c '%s %W %n' "$home"/log/*.log 2>/dev/null)
    for name in "${again[@]}"; do reopen_log "$name"; done
}

# turn_over FILE SERVICE
turn_over() {
    local file=$1 i
    for ((i = log_kept - 1; i >= 1; i--)); do
        [ ! -e "$file.$i" ] || mv -fT "$file.$i" "$file.$((i + 1))"
    done
    mv -fT "$file" "$file.1" || return
    [ -z "$2" ] || service_file "log/${file##*/}" "$2"
}

# reopen_log NAME: signals the service to reopen its log, unless it is of an older release,
# which USR1 would end.
reopen_log() {
    local name signal=USR1 pid
    case "$1" in
        nginx | access) name=nginx ;;
        auth) name=duolu-auth ;;
        thumb) name=duolu-thumb ;;
        mariadb) name=mariadbd signal=HUP ;;
        *) return 0 ;;
    esac
    for pid in $(top_pids "$name"); do
        ! awaits_signal "$pid" "$signal" || kill "-$signal" "$pid" 2>/dev/null || true
    done
}

# awaits_signal PID SIGNAL: does the process catch the signal, or block it (for sigwait)?
awaits_signal() {
    local key mask bit
    bit=$((1 << ($(kill -l "$2") - 1)))
    while read -r key mask; do
        case "$key" in
            SigCgt: | SigBlk:) [ $((16#$mask & bit)) -eq 0 ] || return 0 ;;
        esac
    done <"/proc/$1/status" 2>/dev/null
    return 1
}
