#!/bin/sh
# Brings the suites that `make conformance` runs into target/conformance, by the versions that are pinned here; each
# suite has a function of its own. What cannot be had fails, with a sentence.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/conformance
