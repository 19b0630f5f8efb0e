# shellcheck shell=bash
# The keeper stays beside the services, in the foreground or left by `up -d`: it turns the
# logs over, and starts again what ends by itself.

declare -A log_service=([nginx]=nginx [access]=nginx [auth]=auth [thumb]=thumb [mariadb]=db)
log_kept=9                      # old ones of each log: NAME.log.1 is the newest
log_age=86400                   # seconds after which a log is turned over, however small
restart_most=60                 # seconds of pause before a service that ends again and again

keeper_lock=""
close_locks() {
    [ -z "${home_lock:-}" ] || exec {home_lock}>&-
    [ -z "$keeper_lock" ] || exec {keeper_lock}>&-
}

# become_keeper: there is one for each DUOLU_HOME; its lock ends with it.
become_keeper() {
    (umask 077 && : >>"$home/.keeper")
    exec {keeper_lock}<>"$home/.keeper"
    # who asks whether there is one holds the lock for a moment
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

# holds_keeper PID: has that process, of those that there are now, the keeper's file open?
holds_keeper() {
    local fd
    [[ $1 =~ ^[1-9][0-9]*$ ]] || return
    for fd in "/proc/$1/fd"/*; do
        [ ! "$fd" -ef "$home/.keeper" ] || return 0
    done
    return 1
}

# It leaves without ending anything: who asks for that does the rest. The number in its
# file may be of one before, and another process's by now: the lock alone tells of a keeper.
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
    # a `down` right after this one must find it
    local pid=$!
    until keeper_runs; do
        kill -0 "$pid" 2>/dev/null || { warn "what turns the logs over, and starts again what ends by itself, does not start"; return 0; }
        sleep 0.05
    done
}

# Beside services that something else starts again; not for ever, where everything was killed.
keep_logs() {
    local round=0
    while [ $((++round % 12)) -ne 0 ] || stack_is_running; do
        rotate_logs 2>>"$home/log/keeper.log" || true
        nap 5
    done
}

# A sleep that is no process of its own, which would outlive this one.
nap() {
    [ -n "${nap_pipe:-}" ] || exec {nap_pipe}<> <(:)
    read -r -t "$1" -u "$nap_pipe" || true
}

# Foreground `up`: until Ctrl-C, or until `down` in another shell.
supervise() {
    leave=no
    # no more than that: a handler that reads, within bash's read -t, waits for its input
    trap 'leave=interrupted' INT TERM HUP
    look_after
    [ "$leave" = yes ] || interrupted
    say "ended"
}

# Beside services in the background: it leaves without ending them.
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

# tell TEXT: to the terminal, if there is one, and to the keeper's log.
tell() {
    warn "$*"
    printf '%(%F %T)T %s\n' -1 "$*" >>"$home/log/keeper.log" || true
}

# goes_on NAME: does it do its work? One that another shell started is looked for at first.
goes_on() {
    [ -n "${pid_of[$1]:-}" ] || adopt "$1" || return
    runs "$1" || return
    [ "$1" != nginx ] || ! is_idle
}

# adopt NAME: takes the one that runs for the one to look after.
adopt() {
    local pid
    if [ "$1" = nginx ]; then pid=$(nginx_masters); else pid=$(top_pids "$1"); fi
    [ -n "$pid" ] || return
    pid_of[$1]=${pid%%$'\n'*}
    began_at[$1]=$SECONDS
}

# runs NAME: for its first moments it is another program, which will become that one.
# Later, a zombie that nobody waited for has no folder any more.
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

# Does nginx run without a worker that takes connections? It does for a moment when
# a worker died, and for up to an hour when it was told to quit: that counts.
is_idle() {
    if nginx_accepts; then idle[nginx]=0; return 1; fi
    idle[nginx]=$((${idle[nginx]:-0} + 1))
    [ "${idle[nginx]}" -ge 3 ]
}

nginx_accepts() {
    local pid=${pid_of[nginx]} worker workers=""
    # a kernel that does not list them leaves that to `up`
    [ -e "/proc/$$/task/$$/children" ] || return 0
    { read -r workers <"/proc/$pid/task/$pid/children"; } 2>/dev/null || true
    for worker in $workers; do
        [ "$(title_of "$worker")" != "nginx: worker process" ] || return 0
    done
    return 1
}

# Media goes on meanwhile. Each time that it ran for less than a minute, the pause doubles.
plan_restart() {
    local name=$1 code=0 what="ended by itself"
    if runs "$name"; then
        what="takes no new connections"
    elif [ -n "${pid_of[$name]:-}" ] && ! kill -0 "${pid_of[$name]}" 2>/dev/null; then
        wait "${pid_of[$name]}" 2>/dev/null || code=$?
        # 127: another shell's, which alone is told
        [ "$code" -eq 127 ] || what="$what (exit status $code)"
    fi
    # `down` ends them one after another, and tells this process first
    [ "$leave" = no ] || return 0
    if [ $((SECONDS - ${began_at[$name]:-0})) -ge $restart_most ]; then pause[$name]=0; fi
    if [ "${pause[$name]:-0}" -eq 0 ]; then
        pause[$name]=1
    else
        pause[$name]=$((pause[$name] * 2 < restart_most ? pause[$name] * 2 : restart_most))
    fi
    restart_at[$name]=$((SECONDS + pause[$name]))
    tell "$name $what, and is started again in ${pause[$name]} s. Log: $home/log/${service_log[$name]}.log"
}

restart() {
    local name=$1 lock deadline=$((SECONDS + 10))
    exec {lock}>>"$home/.duolu"
    if flock -n "$lock"; then
        idle[$name]=-$restart_most      # it may take long until it accepts
        # another `up` may have done it
        adopt "$name" || home_lock=$lock launch_service "$name"
        unset "restart_at[$name]"
        # an `up` that came now would see none, and start another
        until stands "$name" || ! runs "$name" || [ $SECONDS -ge $deadline ]; do nap 0.1; done
    fi
    exec {lock}>&-
}

# stands NAME: is it what `up` would find?
stands() { if [ "$1" = nginx ]; then nginx_accepts; else is_itself "$1"; fi; }

# mend MISSING…: starts what a stack that runs is without; what it has goes on.
mend() {
    local name
    say "running in $home, but without $*: starting that"
    for name; do start_service "$name"; done
}

# rotate_logs: each log that is large, or a day old, gets a new file.
rotate_logs() {
    local name file size birth most now again=()
    most=$(bytes_of "$DUOLU_LOG_SIZE")
    [ "$most" -gt 0 ] || return 0
    now=$(printf '%(%s)T' -1)
    while read -r size birth file; do
        # where the file system does not tell its birth, that is 0
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

# reopen_log NAME: its service goes on in the new file. All of them know a
# signal for that; one of an older release, which USR1 would end, is left alone.
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

# awaits_signal PID SIGNAL: it catches that one, or blocks it and looks for it.
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
