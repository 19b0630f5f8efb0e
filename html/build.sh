#!/bin/sh
# Makes the folder that nginx serves, .build/html: npm packages pinned by
# html/package-lock.json are installed into .build/npm, the files of them that the
# page loads are copied to .build/html-vendor, and pack.mjs puts these and html/ together.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=${DUOLU_BUILD:-$here/../.build}
npm_dir=$build/npm
vendor=$build/html-vendor

mkdir -p "$npm_dir" "$vendor"

if ! cmp -s "$here/package-lock.json" "$npm_dir/installed.lock"; then
    rm -f "$npm_dir/installed.lock"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$npm_dir/"
    # mpegts.js asks in "engines" for a newer node to build it; we use the built
    # file for browsers, so Debian's node 18 is fine.
    npm ci --prefix "$npm_dir" --omit=dev --ignore-scripts --engine-strict=false \
        --loglevel=error
    cp "$here/package-lock.json" "$npm_dir/installed.lock"
fi

put() {
    from=$npm_dir/node_modules/$1
    if [ ! -s "$from" ]; then
        echo "html/build.sh: $from is missing or empty, expected after npm ci" >&2
        exit 1
    fi
    cp "$from" "$vendor/$2.$$.part"
    mv "$vendor/$2.$$.part" "$vendor/$2"
}

put mpegts.js/dist/mpegts.js mpegts.js
put mpegts.js/dist/mpegts.js.LICENSE.txt mpegts.js.LICENSE.txt
put mpegts.js/LICENSE mpegts.js.LICENSE
# the light build, without features that recordings never use: subtitles, other audio, encryption
put hls.js/dist/hls.light.min.mjs hls.js
put hls.js/LICENSE hls.js.LICENSE
put lean-qr/index.mjs lean-qr.js
put lean-qr/LICENSE lean-qr.LICENSE

node "$here/pack.mjs" "$here" "$vendor" "$build/html"
