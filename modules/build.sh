#!/bin/bash
# Compiles the nginx modules into .build/modules/*.so.
#   modules/build.sh [--sanitize]   (ASan + UBSan, into .build/modules-asan)
# Needs nginx-dev, gcc, make and a readable deb-src entry for the wire layer.
set -euo pipefail

repo=$(cd "$(dirname "$0")/.." && pwd)
build=$repo/.build
wire=$build/wire                    # headers of libnginx-mod-rtmp
nginx_src=/usr/share/nginx/src      # nginx-dev
name=modules
cflags="-O2 -Wall -Wextra -Werror -Wno-unused-parameter"
plain=$cflags
ldflags=""

if [ "${1:-}" = --sanitize ]; then
    name=modules-asan
    cflags="-O1 ${plain#* } -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    ldflags="-fsanitize=address,undefined"
fi

die() { echo "modules/build.sh: $*" >&2; exit 1; }

# The wire layer's headers come from the source package of the installed binary.
# apt gets its own sources list and state, so that the system's stay unchanged.
fetch_wire_headers() {
    local version state codename mirror
    version=$(dpkg-query -W -f '${source:Version}' libnginx-mod-rtmp) \
        || die "libnginx-mod-rtmp is not installed"
    [ "$(cat "$wire/version" 2>/dev/null)" = "$version" ] && return

    echo "  fetching the headers of libnginx-mod-rtmp $version"
    state=$build/apt
    rm -rf "$wire" "$state"
    mkdir -p "$wire" "$state/lists/partial" "$state/cache/archives/partial"
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-cache policy libnginx-mod-rtmp \
        | sed -n 's/.* \(https\?:[^ ]*\) '"$codename"'[^ ]* .*/\1/p' | head -n 1)
    [ -n "$mirror" ] || die "apt-cache policy libnginx-mod-rtmp names no archive of $codename"
    printf 'deb-src %s %s main\n' "$mirror" "$codename" >"$state/sources.list"
    printf '%s\n' "Dir::Etc::sourcelist \"$state/sources.list\";" \
        'Dir::Etc::sourceparts "-";' \
        "Dir::State::lists \"$state/lists\";" \
        "Dir::Cache \"$state/cache\";" \
        'APT::Sandbox::User "root";' >"$state/apt.conf"
    (
        export APT_CONFIG=$state/apt.conf
        cd "$wire"
        apt-get -qq update
        apt-get -qq source --tar-only "libnginx-mod-rtmp=$version"
        tar -xf ./*.orig.tar.* --strip-components=1 --wildcards '*.h'
        rm -f ./*.orig.tar.*
    ) || die "cannot fetch the source of libnginx-mod-rtmp $version from $mirror"
    rm -rf "$state"
    printf '%s\n' "$version" >"$wire/version"
}

# configure writes into its own folder, and nginx-dev's is read-only: use links.
configure() {
    local tree=$build/$name.tree flags entry
    mkdir -p "$tree"
    for entry in auto configure src; do
        ln -sfn "$nginx_src/$entry" "$tree/$entry"
    done
    # shellcheck source=/dev/null
    . "$nginx_src/conf_flags"
    flags=("${NGX_CONF_FLAGS[@]}")
    stamp=$(cat "$repo/modules/config" "$repo/modules/exports.map" "$nginx_src/conf_flags" "$wire/version" \
            <(ls "$repo"/modules/*/*.h 2>/dev/null) \
            | sha256sum)
    [ "$(cat "$tree/stamp" 2>/dev/null)" = "$stamp$cflags" ] && return
    if [ "$name" != modules ] && [ "$(cat "$build/modules.tree/stamp" 2>/dev/null)" = "$stamp$plain" ]; then
        copy_configuration
        return
    fi
    echo "  configuring against $(nginx -v 2>&1 | sed 's/.*: //')"
    (
        cd "$tree"
        # configure knows the wire layer only by this path
        DUOLU_WIRE=$wire ./configure "${flags[@]}" \
            --with-cc-opt="-g -fstack-protector-strong -D_FORTIFY_SOURCE=2 $cflags" \
            --with-ld-opt="-Wl,-z,relro -Wl,-z,now -Wl,--version-script=$repo/modules/exports.map $ldflags" \
            --add-dynamic-module="$repo/modules" >configure.log 2>&1
    ) || { tail -n 20 "$tree/configure.log" >&2; die "configure failed, log: $tree/configure.log"; }
    printf '%s' "$stamp$cflags" >"$tree/stamp"
}

# A configuration takes long, and the sanitized one differs from the plain one by flags only.
copy_configuration() {
    local from=$build/modules.tree/objs folder
    rm -rf "$tree/objs"
    (cd "$from" && find . -type d) | while read -r folder; do mkdir -p "$tree/objs/$folder"; done
    cp "$from"/Makefile "$from"/*.h "$from"/*.c "$tree/objs/"
    sed -i -e "s|$plain|$cflags|" -e "s|--version-script=$repo/modules/exports.map|& $ldflags|" "$tree/objs/Makefile"
    printf '%s' "$stamp$cflags" >"$tree/stamp"
}

compile() {
    local tree=$build/$name.tree
    make -C "$tree" -s -j"$(nproc)" -f objs/Makefile modules >"$tree/make.log" 2>&1 \
        || { tail -n 40 "$tree/make.log" >&2; die "compile failed, log: $tree/make.log"; }
    mkdir -p "$build/$name"
    # a running nginx has mapped the old file: replace it, never write into it
    for so in "$tree"/objs/*.so; do
        cmp -s "$so" "$build/$name/${so##*/}" && continue
        cp "$so" "$build/$name/.new" && mv "$build/$name/.new" "$build/$name/${so##*/}"
    done
}

mkdir -p "$build"
exec 9>"$build/$name.lock"
# one build of this tree at a time
flock -w 600 9 || die "another build of $build/$name has not ended after 600 s: end it, or try again"
fetch_wire_headers
configure
compile
