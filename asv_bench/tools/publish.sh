#!/usr/bin/env bash
# asv's pages from the results, made self-contained, with the front page and verdicts.json; written to asv_bench/html.
#
#   bash asv_bench/tools/publish.sh [RESULTS_FOLDER]     ($PYTHON chooses the interpreter, which needs asv)
#
# The pages' scripts come from npm, or without a network from the folder $GPUOPT_ASV_ASSETS (filled by an earlier run).
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
python=$(command -v "${PYTHON:-python3}") || { echo "publish: no Python named ${PYTHON:-python3}" >&2; exit 1; }
results=$(cd "${1:-$tools/../results}" && pwd) || { echo "publish: no results folder" >&2; exit 1; }
[ -f "$results/benchmarks.json" ] || { echo "publish: $results has no benchmarks.json" >&2; exit 1; }
if [ "$(git -C "$tools" rev-parse --is-shallow-repository)" = true ]; then
  echo "publish: this clone is shallow, and asv would drop the commits it lacks; run 'git fetch --unshallow'" >&2
  exit 1
fi

cd "$tools/.."
config=$(mktemp "${TMPDIR:-/tmp}/gpuopt-publish-XXXXXX.conf.json")
trap 'rm -f "$config"' EXIT
# asv has no option for where the results are, and a fresh clone may lack a branch named main: the commit at hand stands for it.
"$python" - "$config" "$results" <<'PY'
import json, pathlib, subprocess, sys
here = pathlib.Path.cwd()
config = json.loads((here / "asv.conf.json").read_text())
known = [b for b in config["branches"] if not subprocess.call(["git", "rev-parse", "-q", "--verify", b], stdout=subprocess.DEVNULL)]
config |= {
    "repo": str(here.parent), "benchmark_dir": str(here / "benchmarks"), "results_dir": sys.argv[2],
    "html_dir": str(here / "html"), "branches": known or ["HEAD"],
}
pathlib.Path(sys.argv[1]).write_text(json.dumps(config))
PY
"$python" -m asv --config "$config" publish --no-pull
"$python" tools/offline.py html
