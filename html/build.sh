#!/bin/sh
# Makes the folder that nginx serves, .build/html. npm packages pinned by html/package-lock.json are
# installed into .build/npm, and the files of them that the page loads are copied to .build/html-vendor.
# esbuild bundles the modules and style sheets. index.html and the icons keep their names; all else is
# in a folder named by its content.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=$(realpath -m "${DUOLU_BUILD:-$here/../.build}")
npm_dir=$build/npm
vendor=$build/html-vendor
out=$build/html
kept=5          # folders: this build's, and earlier ones for pages that are open meanwhile

# Another build may run at the same time: all is made in a folder of its own, and moved when it is whole.
part=$build/html.$$.part
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$npm_dir" "$vendor" "$out" "$part/packed/vendor"

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
    cp "$from" "$part/packed/vendor/$2"
    cp "$from" "$part/$2"
    mv "$part/$2" "$vendor/$2"
}

put mpegts.js/dist/mpegts.js mpegts.js
put mpegts.js/dist/mpegts.js.LICENSE.txt mpegts.js.LICENSE.txt
put mpegts.js/LICENSE mpegts.js.LICENSE
# the light build, without features that recordings never use: subtitles, other audio, encryption
put hls.js/dist/hls.light.min.mjs hls.js
put hls.js/LICENSE hls.js.LICENSE
put lean-qr/index.mjs lean-qr.js
put lean-qr/LICENSE lean-qr.LICENSE

cd "$here"
bundle() {
    esbuild --bundle --minify --charset=utf8 --log-level=warning "$@"
}

bundle js/main.js --format=esm --splitting '--external:../vendor/*' \
    --outdir="$part/packed/js" --metafile="$part/meta.json"

# style LINES FILE: bundles the style sheets that these lines of index.html name
style() {
    sed -n "$1"'s|^<link rel="stylesheet" href="\(.*\)">|@import "./\1";|p' index.html \
        | bundle --loader=css --outfile="$part/packed/css/$2"
}

style '1,/<!-- later:/' first.css
style '/<!-- later:/,$' later.css

folder=$(cd "$part/packed" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
find "$part/packed" -type f -exec gzip -9kn {} +        # for gzip_static
[ -d "$out/$folder" ] || mv -T "$part/packed" "$out/$folder" || [ -d "$out/$folder" ]
touch "$out/$folder"

# The files that main.js imports: without the page's word for it, browsers would ask for them after main.js.
chunks=$(node -p 'Object.values(JSON.parse(fs.readFileSync(0)).outputs)
    .find(({ entryPoint }) => entryPoint === "js/main.js").imports
    .filter(({ kind }) => kind === "import-statement").map((chunk) => path.basename(chunk.path)).join("\n")' \
    <"$part/meta.json")
{
    sed '/<link rel="stylesheet"/d; /<!-- later:/d; /<script /,$d' index.html
    echo "<link rel=\"stylesheet\" href=\"$folder/css/first.css\">"
    # "disabled": the browser loads it when later-styles.js asks for it
    echo "<link rel=\"stylesheet\" href=\"$folder/css/later.css\" disabled>"
    echo "$chunks" | sed "s|.*|<link rel=\"modulepreload\" href=\"$folder/js/&\">|"
    sed -n "s|<script src=\"js/|<script src=\"$folder/js/|p" index.html
    sed '1,/<script /d' index.html
} >"$part/index.html"

cp ./*.svg ./*.png ./*.webmanifest "$part/"
# index.html last: from then on browsers ask for the folder
for name in *.svg *.png *.webmanifest index.html; do mv "$part/$name" "$out/$name"; done

cd "$out"
# shellcheck disable=SC2012     # these names are hashes
ls -dt -- */ | tail -n +$((kept + 1)) | xargs -r rm -rf --
