# shellcheck shell=bash
# The state folder, and the secrets and configuration in it.
#
# If root starts the stack, the folder itself, conf, log and secrets belong to root, so
# that no service can put a link, a pipe or a file where root opens one by its name. In
# folders that belong to a service, root opens no file, and executes and deletes nothing:
# the service's user does that (run_as).

# claim_home: makes the state folder, takes it over and locks it: until release_home,
# only this process starts or ends services in it.
claim_home() {
    local name
    # look for .duolu last: it is the first file that another `up` makes meanwhile
    if [ -d "$home" ] && [ -n "$(ls -A "$home")" ] && [ ! -e "$home/.duolu" ]; then
        die "DUOLU_HOME is $home, which exists, is not empty, and was not made by Duolu: choose an empty or new folder"
    fi
    mkdir -p "$home" || die "cannot make DUOLU_HOME ($home): set it to a folder that you may write to"
    [ -w "$home" ] || die "cannot write to DUOLU_HOME ($home): it belongs to $(stat -c %U "$home")"
    if is_root; then
        check_owner
        check_parent
        chown -h root:root "$home"
        is_mine "$home" || die "$home is no folder any more: look at who changed it"
    fi
    chmod 711 "$home"
    for name in .duolu .keeper; do
        # a link or another user's file was put there before the folder was ours
        if [ -L "$home/$name" ] || { [ -e "$home/$name" ] && [ ! -O "$home/$name" ]; }; then rm -f "$home/$name"; fi
    done
    (umask 077 && : >>"$home/.duolu" && chmod 600 "$home/.duolu")
    exec {home_lock}>>"$home/.duolu"
    await_lock "$home_lock" "$home/.duolu" "starts or ends $home"
}

release_home() { exec {home_lock}>&-; }

# Refuses a stack that another user started: root would not recognise its processes as ours.
check_owner() {
    local owner
    [ -e "$home/.duolu" ] || return 0
    owner=$(stat -c %u "$home")
    [[ " $(service_uids) " == *" $owner "* ]] \
        || die "$home belongs to $(stat -c %U "$home"), who started what is in it: run this as that user"
}

# The ids of root and of the users that services started by root may run as.
service_uids() {
    local user
    echo -n 0
    for user in "${own_user[@]}"; do echo -n " $(id -u "$user" 2>/dev/null || true)"; done
}

# Refuses a parent folder that a service may write to: the service could rename the state
# folder and put its own in that place.
check_parent() {
    local parent service
    parent=$(dirname "$home")
    [ "${user_of[nginx]}" != root ] && [ ! -k "$parent" ] || return 0
    for service in "${!user_of[@]}"; do
        ! run_as "$service" test -w "$parent" \
            || die "${user_of[$service]}, as whom services run, may write to $parent, so DUOLU_HOME cannot lie there: choose another folder"
    done
}

prepare_home() {
    local name
    if is_root && [ "${user_of[nginx]}" = root ]; then
        warn "www-data cannot reach $repo or $home, so the services run as root"
    fi
    choose_users_again
    for name in conf log secrets; do own_folder "$name"; done
    # leave a link alone: the operator made it, to another disk
    if [ -d "$home/rec" ] && [ ! -L "$home/rec" ]; then service_folder rec nginx; fi
    prepare_recordings
    check_recordings
    share_recordings
    tell_moved_recordings
    for name in cache pid tmp; do service_folder "$name" nginx; done
    # any user may connect to sockets of nginx and MariaDB, a group to the others: the folders restrict both
    socket_folder sock nginx duolu-auth 00710
    socket_folder mysql db duolu-auth 00710
    socket_folder auth auth duolu-nginx 02710
    socket_folder thumb thumb duolu-nginx 02710
    if [ -d "$home/db" ] && [ ! -L "$home/db" ]; then
        service_folder db db
        chmod 700 "$home/db"
    fi
    for name in "${!log_service[@]}"; do service_file "log/$name.log" "${log_service[$name]}"; done
    for name in "${!log_service[@]}"; do service_files "${log_service[$name]}" "$home/log/$name.log".[0-9]*; done
    make_secret db "$(openssl rand -hex 16)"
    make_secret token.keys "k1 $(openssl rand -hex 32)"
    share_secret duolu-keys token.keys
    [ "$private_db" = no ] || use_private_database
    make_certificate
    service_folder revoked nginx
    move_revocations
    choose_room
    render "$repo/conf/nginx.conf.in" "$home/conf/nginx.conf"
    render "$repo/conf/mariadb.cnf.in" "$home/conf/mariadb.cnf"
    save_settings
}

# nginx replaces the file by a shorter one, which it cannot do among root's secrets, where
# an older release had it.
move_revocations() {
    local old=$home/secrets/revocations
    [ -f "$old" ] && [ ! -L "$old" ] && [ ! -s "$home/revoked/revocations" ] || return 0
    service_file secrets/revocations nginx
    mv -T "$old" "$home/revoked/revocations" \
        || die "cannot move $old to $home/revoked: it holds what was revoked, and must not be lost"
}

choose_users_again() {
    local service others=""
    is_root && [ "${user_of[nginx]}" = www-data ] || return 0
    make_users || warn "users for the services (${own_user[*]}) cannot be made"
    choose_service_users
    # start from the service's own user; share_recordings checks again whether it must be nginx's
    if are_apart && reachable_by "${own_user[auth]}"; then user_of[auth]=${own_user[auth]}; fi
    for service in auth db thumb; do
        [ "${user_of[$service]}" != www-data ] || others+=" $service"
    done
    [ -z "$others" ] || warn "not every service has a user of its own: these run as www-data, as nginx does:$others"
}

# Refuses to start services beside those of an older release, whose sockets are elsewhere,
# or, as root, where a service could choose the names in conf, log or secrets.
refuse_old_home() {
    local name old=no
    [ -d "$home/mysql" ] || old=yes
    for name in conf log secrets; do
        ! is_root || is_mine "$home/$name" || old=yes
    done
    [ "$old" = no ] || die "an older release started what runs in $home: ./build.sh down, then up, takes the folder over"
}

# own_folder NAME: makes a folder that root reads and writes. If a service owned it
# before, moves it aside, since the service chose its names, and takes plain files over.
own_folder() {
    local dir=$home/$1 old=$home/$1.old
    if is_root && [ -e "$dir" ] && [ ! -L "$dir" ] && [ ! -O "$dir" ]; then
        [ ! -e "$old" ] || die "$old is there already, of an attempt that was cut off: move what you need of it to $dir, and remove it"
        mv -T "$dir" "$old"
    fi
    [ ! -L "$dir" ] || die "$dir is a link: expected a folder"
    mkdir -p -m 711 "$dir"
    is_root || { chmod 700 "$dir"; return 0; }
    chmod 711 "$dir"
    if [ -d "$old" ] && [ ! -L "$old" ]; then
        take_over "$old" "$dir"
        rmdir "$old" 2>/dev/null || warn "$old holds what is no plain file of a service's: take from it what you need, and remove it"
    fi
}

# take_over OLD NEW: copies the plain files, since a process may have the old ones open.
# First gives OLD to root, so that nobody else changes its names. Deletes a file only when
# its copy is complete, so that the next `up` can go on after an interruption.
take_over() {
    local file name owner
    owner=$(stat -c %u "$1")
    chown root:root "$1"
    chmod 700 "$1"
    for file in "$1"/*; do
        [ ! -L "$file" ] || { warn "$file is a link, and is left out"; continue; }
        # plain files only: no hard links, no other user's files, none that is huge
        [[ "$(stat -c '%F %h' "$file" 2>/dev/null)" =~ ^regular\ (empty\ )?file\ 1$ ]] || continue
        [[ " $owner $(service_uids) " == *" $(stat -c %u "$file") "* ]] || continue
        name=${file##*/}
        case "$2" in
            */log) chown root: "$file" && mv -T "$file" "$2/$name" ;;
            *)
                # the revocations file may be large
                [ "$name" = revocations ] || [ "$(stat -c %s "$file")" -le 1048576 ] || continue
                (umask 077 && cat "$file" >"$2/$name.new") && mv -T "$2/$name.new" "$2/$name" && rm -f "$file"
                ;;
        esac
    done
}

# service_folder NAME SERVICE: makes a folder that the service writes to.
service_folder() {
    local dir=$home/$1 user=${user_of[$2]} owner
    [ ! -L "$dir" ] || die "$dir is a link: expected a folder"
    if [ ! -d "$dir" ]; then
        mkdir -m 700 "$dir"
        ! is_root || chown -h "$user:" "$dir"
        return 0
    fi
    owner=$(stat -c %u "$dir")          # by number: this system may not know the name
    [ "$owner" != "$(id -u "$user")" ] && is_root || return 0
    # root must not follow what another user put there
    [ "$user" != root ] || die "$dir belongs to $owner, who cannot reach $repo or $home any more: give that user access to them again, or set DUOLU_HOME to a new folder"
    chown -Rh --from="$owner" "$user:" "$dir"
}

# socket_folder NAME SERVICE GROUP MODE: makes the folder where the service listens and
# the group may connect. In one common folder a service could replace another's socket.
socket_folder() {
    service_folder "$1" "$2"
    are_apart || { chmod 00700 "$home/$1"; return 0; }
    chown -h "${user_of[$2]}:$3" "$home/$1"
    chmod "$4" "$home/$1"
}

# service_file NAME SERVICE: makes a file that the service writes to, in root's folder.
service_file() {
    [ -e "$home/$1" ] || (umask 077 && : >"$home/$1")
    ! is_root || chown -h "${user_of[$2]}:" "$home/$1"
}

# service_files SERVICE FILE…: gives the service those of the files that exist.
service_files() {
    local file user=${user_of[$1]}
    shift
    is_root || return 0
    for file; do [ ! -f "$file" ] || chown -h "$user:" "$file"; done
}

# An existing folder keeps its owner: it may be a disk of its own. nginx's user makes a
# missing one if it can write to the parent; otherwise we do.
prepare_recordings() {
    local parent user=${user_of[nginx]}
    parent=$(dirname "$DUOLU_REC")
    [ ! -d "$DUOLU_REC" ] || return 0
    if [ "$parent" != "$home" ] && run_as nginx mkdir -p -m 750 "$DUOLU_REC" 2>/dev/null; then return 0; fi
    {
        mkdir -p "$parent" && (
            cd -P "$parent" && mkdir -m 750 "./${DUOLU_REC##*/}"
            ! is_root || chown -h "$user:" "./${DUOLU_REC##*/}"
        )
    } || die "cannot make DUOLU_REC ($DUOLU_REC): set it to a folder that you may write to"
}

# Chooses the space that recordings leave free; more where the private database is on the same disk.
choose_room() {
    dvr_free="5% 1g"
    [ "$private_db" = no ] || [ "$(stat -c %d "$DUOLU_REC")" = "$(stat -c %d "$home")" ] || dvr_free=5%
}

# Warns now, since otherwise the first failed recording would be the first sign.
check_recordings() {
    run_as nginx test -w "$DUOLU_REC" -a -x "$DUOLU_REC" \
        || warn "${user_of[nginx]} cannot write to DUOLU_REC ($DUOLU_REC, $(stat -c 'of %U, mode %a' "$DUOLU_REC")): nothing will be recorded until it can. Give it the folder (chown), or set DUOLU_REC to another"
    # an older release let only the owner read recordings
    if [ "${user_of[thumb]}" != "${user_of[nginx]}" ] \
        && [ -n "$(below_rec nginx -mindepth 1 -maxdepth 1 -type d ! -perm -g=x)" ]; then
        run_as nginx chmod -R g+rX "$DUOLU_REC" 2>/dev/null || true
    fi
    run_as thumb test -x "$DUOLU_REC" \
        || warn "${user_of[thumb]}, of the group www-data, cannot read DUOLU_REC ($DUOLU_REC, $(stat -c 'of %U:%G, mode %a' "$DUOLU_REC")): recordings have no pictures. Let the group read it (chgrp www-data, chmod g+rx)"
}

# nginx alone writes recordings; duolu-thumb reads them as a member of their group. The
# auth-service deletes old ones and takes events out of .spool: an ACL, which new files
# inherit, lets it write to the folders and read the files. (With the group's rights,
# duolu-thumb could delete, too.) Without ACLs the auth-service runs as nginx's user.
share_recordings() {
    local user=${user_of[auth]} nginx=${user_of[nginx]}
    is_root && [ "$user" != "$nginx" ] || return 0
    # recordings of an older release, or copied here; don't search the folders of days each time
    if ! is_shared_with "$user" || [ -n "$(below_rec auth -maxdepth 3 -type d -user "$nginx" ! -writable -print -quit)" ]; then
        # files first, then folders from the deepest up: after an interruption the check above fails again
        below_rec nginx -user "$nginx" -type f -exec setfacl -m "u:$user:r" {} + || true
        below_rec nginx -depth -user "$nginx" -type d -exec setfacl -m "u:$user:rwx,d:u:$user:rwx" {} + || true
    fi
    is_shared_with "$user" && run_as auth test -w "$DUOLU_REC" -a -x "$DUOLU_REC" && return
    user_of[auth]=$nginx
    warn "$user cannot be let into DUOLU_REC ($DUOLU_REC, $(stat -c 'of %U, mode %a' "$DUOLU_REC")), so the auth-service runs as $nginx, as nginx does: that needs a folder of $nginx's (chown) on a file system with ACLs"
}

is_shared_with() { getfacl -cp "$DUOLU_REC" 2>/dev/null | grep -q "^default:user:$1:rwx"; }

# below_rec SERVICE CONDITION…: runs find in a working folder that every user can return to.
below_rec() {
    local service=$1
    shift
    (cd / && run_as "$service" find "$DUOLU_REC" "$@" 2>/dev/null)
}

# Tells where older recordings are if DUOLU_REC was left out this time, so that they don't seem lost.
tell_moved_recordings() {
    local was
    was=$(saved_setting DUOLU_REC "$(saved_settings)")
    [[ $was =~ ^/[!-~]+$ ]] && [ "$was" != "$DUOLU_REC" ] && [ -d "$was/.spool" ] || return 0
    warn "recordings are in $was, where DUOLU_REC was until now, and none of them is shown from $DUOLU_REC: set DUOLU_REC=$was, or move them and run ./build.sh ctl reindex"
}

# write_file FILE MODE: replaces the file by standard input, atomically.
write_file() {
    (umask 077 && cat >"$1.new" && chmod "$2" "$1.new" && mv -T "$1.new" "$1") || die "cannot write $1: is its disk full?"
}

# make_secret NAME TEXT: writes the secret unless it exists.
make_secret() {
    [ -s "$home/secrets/$1" ] || printf '%s\n' "$2" | write_file "$home/secrets/$1" 600
}

# share_secret GROUP NAME…: lets the group read these secrets, but not change them.
share_secret() {
    local name file group=$1
    is_root || return 0
    are_apart || group=$(id -gn "${user_of[nginx]}")
    shift
    for name; do
        file=$home/secrets/$name
        [ -f "$file" ] && [ ! -L "$file" ] || continue
        chown "root:$group" "$file"
        chmod 640 "$file"
    done
}

# Makes a self-signed certificate, again when the names change; leaves one that an
# admin put there (no tls.names beside it) alone.
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
    share_secret duolu-nginx tls.key tls.crt
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
    share_secret duolu-nginx tls.key tls.crt
}

# render TEMPLATE FILE: replaces each @NAME@ by its value.
render() {
    local text files user_line="" hsts_line=""
    # only a master that runs as root may, and must, name the workers' user
    is_root && [ "${user_of[nginx]}" = root ] && user_line="user root;"
    # allow each worker as many open files as the system allows this user
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
    text=${text//@DVR_FREE@/"${dvr_free:-}"}
    text=${text//@LISTEN@/"$DUOLU_LISTEN"}
    text=${text//@HTTP@/"$DUOLU_HTTP"}
    text=${text//@HTTPS@/"$DUOLU_HTTPS"}
    text=${text//@RTMP@/"$DUOLU_RTMP"}
    text=${text//@RTMPS@/"$DUOLU_RTMPS"}
    [ "$DUOLU_HSTS" = 0 ] || hsts_line="add_header Strict-Transport-Security max-age=$DUOLU_HSTS always;"
    text=${text//@HSTS_LINE@/"$hsts_line"}
    text=${text//@USER_LINE@/"$user_line"}
    if [[ $text =~ @[A-Z_]+@ ]]; then die "$1 has ${BASH_REMATCH[0]}, which nothing sets"; fi
    printf '%s\n' "$text" | write_file "$2" 644
}
