#!/usr/bin/env bash
# Every benchmark once, in the environment that is active, as machine "smoke"; fails where too little was measured.
#
#   bash asv_bench/quick.sh [RESULTS_FOLDER]
#
# Results go to a temporary folder by default. PYTHON chooses the interpreter, ASV_ARGUMENTS adds to "asv run" ("-b counters"), LEAST is how
# many values there must be.
set -euo pipefail
cd "$(dirname "$0")"
python=$(command -v "${PYTHON:-python3}")
results=${1:-$(mktemp -d)}
mkdir -p "$results"
results=$(cd "$results" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
config=$scratch/asv.conf.json
# asv reads paths relative to its configuration's folder, and has no option for where results go.
"$python" - "$config" "$results" <<'PY'
import json, pathlib, sys
here = pathlib.Path.cwd()
config = json.loads((here / "asv.conf.json").read_text())
config |= {"repo": str(here.parent), "branches": ["HEAD"], "benchmark_dir": str(here / "benchmarks"), "results_dir": sys.argv[2]}
pathlib.Path(sys.argv[1]).write_text(json.dumps(config))
PY
export PYTHONPATH="$PWD/..${PYTHONPATH:+:$PYTHONPATH}" PYTHONHASHSEED=0
export ASV_PYTHONPATH=$PYTHONPATH  # without it, asv takes whatever gpuopt is installed
# asv keeps machines in the home folder: "smoke" shall not be one of the user's.
export PYTHONUSERBASE="${PYTHONUSERBASE:-$HOME/.local}" HOME=$scratch
"$python" -m asv --config "$config" machine --yes --machine smoke
# shellcheck disable=SC2086  # several arguments
"$python" -m asv --config "$config" run --quick --show-stderr -E "existing:$python" --machine smoke \
  --set-commit-hash "$(git rev-parse HEAD)" ${ASV_ARGUMENTS:-}
"$python" tools/check_results.py "$results" --machine smoke --least "${LEAST:-60}"
echo "results: $results"
