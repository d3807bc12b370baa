#!/usr/bin/env bash
# Builds the documents as a site, in target/book. The site has the pages of docs/SUMMARY.md at the paths that they have
# in the repository, so that links between them hold. What else they link to is on GitHub.
set -euo pipefail
cd "$(dirname "$0")/.."

source=target/book-source
rm -rf "$source" target/book
mkdir -p "$source/src"
git ls-files -z --cached --others --exclude-standard -- '*.md' '*.svg' '*.png' |
  xargs -0 cp --parents --target-directory "$source/src"
cp docs/book.toml "$source/"
cd "$source/src"
# The summary's links start in docs/; those of the site at its root.
sed -e 's|](\([^.)][^)]*\))|](docs/\1)|' -e 's|](\.\./|](|' docs/SUMMARY.md >SUMMARY.md
rm docs/SUMMARY.md
find . -name '*.md' | while read -r page; do
  FOLDER=$(dirname "$page") perl -pi -e '
    s{\]\((?![a-z]+:|\#|[^)]*\.(?:md|svg|png)(?:\#[^)]*)?\))([^)]+)\)}{](https://github.com/evenkeel/evenkeel/blob/main/$ENV{FOLDER}/$1)}g' "$page"
done
cd - >/dev/null
mdbook build "$source" --dest-dir "$PWD/target/book"
