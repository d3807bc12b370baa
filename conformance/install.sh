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

# Prints the first of the usual places that holds a Python 2.7: the suite knows no other.
find_python27() {
    for python in "${PYTHON27:-python2.7}" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# By requirements.txt; the program is called wstest.
autobahn() {
    python=$(find_python27) || {
        rm -f "$bin/wstest"
        echo "conformance/install.sh: NOT TESTED is Autobahn: it needs Python 2.7 with pip ('pyenv install 2.7.18', or name one in PYTHON27)" >&2
        return 0
    }
    node_packages autobahn
    pinned=conformance/autobahn/requirements.txt
    cmp -s $pinned "$bin/autobahn/python/requirements.txt" && return
    rm -rf "$bin/autobahn/python"
    "$python" -m pip install --quiet --disable-pip-version-check --target "$bin/autobahn/python" --requirement $pinned || {
        echo "conformance/install.sh: Autobahn's test suite could not be had from PyPI" >&2
        exit 1
    }
    # Among the packages is one that is spread over several folders, which only a site folder may be.
    cat >"$bin/wstest" <<EOF
#!/bin/sh
exec "$python" -u -c 'import site; site.addsitedir("$bin/autobahn/python"); from autobahntestsuite.wstest import run; run()' "\$@"
EOF
    chmod +x "$bin/wstest"
    cp $pinned "$bin/autobahn/python"
}

go_programs
node_packages http-cache-tests
autobahn
