#!/bin/sh
# Brings the clients of `make soak` into target/soak, by the versions that are pinned in soak/clients; the load
# generators wrk, h2load, ab, curl and slowhttptest are Debian packages (as root). What cannot be had fails, with a
# sentence.
set -eu
cd "$(dirname "$0")/.."
soak=target/soak
mkdir -p "$soak/bin" "$soak/java" "$soak/node"

packages=
# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}
need wrk wrk
need h2load nghttp2-client
need ab apache2-utils
need curl curl
need ip iproute2
need slowhttptest slowhttptest
need node nodejs
need npm npm
need javac openjdk-17-jdk-headless
if [ -n "$packages" ]; then
    [ -n "$(ls /var/lib/apt/lists 2>/dev/null)" ] || apt-get update
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi
command -v go >/dev/null 2>&1 || { echo "soak/install.sh: needs go 1.26 or later, see https://go.dev/dl" >&2; exit 1; }

[ -x "$soak/python/bin/python" ] || python3 -m venv "$soak/python"
"$soak/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement soak/clients/python/requirements.txt

go build -C soak/clients/go -o "../../../$soak/bin/net-http" .
go build -C soak/clients/go -o "../../../$soak/bin/hey" github.com/rakyll/hey

# Modules find each other by where they are.
cp soak/clients/node/*.mjs soak/clients/node/package.json "$soak/node/"
npm install --silent --no-audit --no-fund --no-package-lock --omit=dev --prefix "$soak/node"

javac -d "$soak/java" soak/clients/java/Client.java
