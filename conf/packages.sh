# shellcheck shell=bash
# Debian packages, and the installation of missing ones.

packages_run=(
    nginx libnginx-mod-rtmp libnginx-mod-stream
    mariadb-server-core mariadb-client-core
    openssl ca-certificates curl ffmpeg acl iproute2
)
packages_build=(
    nginx libnginx-mod-rtmp ca-certificates
    gcc libc6-dev make pkg-config nginx-dev libssl-dev
    default-libmysqlclient-dev libjansson-dev libcurl4-openssl-dev libfcgi-dev libsodium-dev
    libseccomp-dev esbuild
)
# packages to run a built tree without a private database (docker/)
packages_serve=(
    nginx libnginx-mod-rtmp libnginx-mod-stream
    libmariadb3 libjansson4 libcurl4 libfcgi0ldbl libsodium23 openssl ca-certificates curl
    ffmpeg libseccomp2 acl
)
# to build the container image without Docker, in a test
packages_image=(buildah debootstrap)
packages_unit=(libcmocka-dev clang libclang-rt-14-dev spin)
packages_test=(
    "${packages_unit[@]}"
    rtmpdump vlc-bin vlc-plugin-base chromium fonts-noto-cjk iproute2
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
)

# npm installs the page's players. Any node from 18 on works, so we add Debian's only if
# there is none.
add_node_packages() {
    local major
    major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p') || true
    if [ "${major:-0}" -lt 18 ]; then packages_build+=(nodejs); fi
    if ! command -v npm >/dev/null; then packages_build+=(npm); fi
}
add_node_packages

# missing_packages NAME…: prints those that are not installed, one per line, each once.
missing_packages() {
    local name installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
    for name; do
        grep -qxF -- "$name" <<<"$installed" || echo "$name"
    done | awk '!seen[$0]++'
}

install_missing() {
    local missing=()
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0

    [ -r /etc/debian_version ] && command -v apt-get >/dev/null \
        || die "this machine has no apt-get: install the equivalents of these Debian packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null \
            || die "packages are missing, and there is no sudo. As root, run: apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo)
        say "sudo is needed to install: ${missing[*]}"
        sudo -v || die "sudo was refused. As root, run: apt-get install --no-install-recommends ${missing[*]}"
    fi
    local bin=$build/apt-bin log=$build/log/apt.log
    mkdir -p "$bin" "$build/log"
    write_service_stub "$bin/invoke-rc.d"
    run_logged "reading the package lists" "$log" "${as_root[@]}" apt-get -q update
    run_logged "installing ${#missing[@]} packages (${missing[*]})" "$log" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        -o DPkg::Path="$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# Debian's nginx package starts a web server on port 80.  Duolu runs its own nginx, so
# the package's scripts find this stub first, which skips that start.
write_service_stub() {
    cat >"$1" <<'STUB'
#!/bin/sh
case " $* " in
    *" nginx status "*) exit 3 ;;
    *" nginx "*) exit 0 ;;
esac
exec /usr/sbin/invoke-rc.d "$@"
STUB
    chmod 755 "$1"
}

# Unpacks promtool, for a test, from Debian's package prometheus without installing it:
# the package would start and enable a server.
fetch_promtool() {
    local tools=$build/tools
    ! command -v promtool >/dev/null && [ ! -x "$tools/promtool" ] || return 0
    mkdir -p "$tools/package"
    run_logged "fetching promtool" "$build/log/promtool.log" extract_promtool "$tools"
    rm -r "$tools/package"
}

extract_promtool() (
    cd "$1/package" && apt-get -q download prometheus \
        && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool \
        && mv usr/bin/promtool "$1/promtool"
)
