#!/bin/sh
# Renders manifests/evenkeel.yaml from the chart, for people who install without Helm:
#
#   kubectl apply --server-side -f manifests/evenkeel.yaml
#
# With --check nothing is written: exit code 1 and a diff where the file is not what the chart renders now.
# `helm` is taken from the PATH; versions 3 and 4 give the same.
set -eu

cd "$(dirname "$0")/.."
manifest=manifests/evenkeel.yaml
namespace=evenkeel

render() {
    chart=$(helm template evenkeel charts/evenkeel --namespace "$namespace" --kube-version 1.33 --skip-tests) || exit 1
    cat <<HEAD
# evenkeel, rendered from charts/evenkeel by manifests/render.sh: change the chart, not this file.
#
#   kubectl apply --server-side -f manifests/evenkeel.yaml
---
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    app.kubernetes.io/name: evenkeel
    # What the webhook's pods are fit for.
    pod-security.kubernetes.io/enforce: restricted
HEAD
    # Nothing of Helm is left in it: neither its labels nor the blank lines that version 4 puts in.
    printf '%s\n' "$chart" |
        sed -e '/^ *app.kubernetes.io\/managed-by: /d' -e '/^ *helm.sh\/chart: /d' -e '/^# Source: /d' -e '/^$/d'
}

case "${1-}" in
"")
    # Not straight into the file: a chart that does not render leaves it as it is.
    rendered=$(render)
    printf '%s\n' "$rendered" >"$manifest"
    ;;
--check)
    rendered=$(render)
    if ! printf '%s\n' "$rendered" | diff -u "$manifest" -; then
        echo "$manifest is not what the chart renders: run manifests/render.sh" >&2
        exit 1
    fi
    ;;
*)
    echo "render.sh: $1 is not an option: expected nothing, or --check" >&2
    exit 64
    ;;
esac
