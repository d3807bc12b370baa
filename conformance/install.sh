#!/bin/sh
# Brings the suites that `make conformance` runs into target/conformance, by the versions that are pinned here; each
# suite has a function of its own. What cannot be had fails, with a sentence.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/conformance
bin=$PWD/target/conformance

# By go.mod and go.sum; $1 is the package, $2 what its program is to be called.
go_program() {
    (cd conformance/go && CGO_ENABLED=0 go build -trimpath -o "$bin/$2" "$1") || {
        echo "conformance/install.sh: $2 ($1) could not be built" >&2
        exit 1
    }
}

# h2spec and gRPC's interoperability tests, and what our own tests put behind and before the proxy.
go_programs() {
    command -v go >/dev/null || {
        echo "conformance/install.sh: needs Go, which is not installed: see https://go.dev/doc/install" >&2
        exit 1
    }
    go_program github.com/summerwind/h2spec/cmd/h2spec h2spec
    go_program google.golang.org/grpc/interop/client grpc-interop-client
    go_program google.golang.org/grpc/interop/server grpc-interop-server
    go_program ./h2app h2app
    go_program ./rpcs rpcs
}

# By package-lock.json; $1 is a folder of packages and of scripts that use them.
node_packages() {
    for program in node npm; do
        command -v $program >/dev/null || {
            echo "conformance/install.sh: needs $program, of Node 20 or later: see https://nodejs.org" >&2
            exit 1
        }
    done
    mkdir -p "$bin/$1"
    # What is there by the same lock file stays.
    cmp -s "conformance/$1/package-lock.json" "$bin/$1/package-lock.json" && cp "conformance/$1"/*.mjs "$bin/$1" && return
    cp "conformance/$1"/* "$bin/$1"
    (cd "$bin/$1" && npm ci --silent --ignore-scripts --no-audit --no-fund) || {
        rm -f "$bin/$1/package-lock.json"
        echo "conformance/install.sh: the packages of conformance/$1 could not be had from npm" >&2
        exit 1
    }
}

go_programs
node_packages http-cache-tests
