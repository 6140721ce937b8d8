#!/usr/bin/env bash
# The documentation as it is published: that of the files at hand, and in a folder of its own that of each tag in the list of
# versions, docs/_static/switcher.json.
#
#   bash tools/site.sh FOLDER     ($PYTHON chooses the interpreter, which needs the extra `docs`)
set -euo pipefail
mkdir -p "${1:?the folder for the pages}"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -m sphinx -W -b html docs "$out"
versions=$("$python" -c 'import json; print(*(each["version"] for each in json.load(open("docs/_static/switcher.json"))))')
for version in $versions; do
  [ "$version" = main ] && continue
  tree=$(mktemp -d)
  git worktree add --detach "$tree/$version" "$version"
  (cd "$tree/$version" && GPUOPT_DOCS_VERSION="$version" "$python" -m sphinx -b html docs "$out/$version")
  git worktree remove --force "$tree/$version"
done
