#!/usr/bin/env bash
# Measure the commit at hand with the active environment, under a machine's name, ready to be published.
#
#   bash asv_bench/tools/measure.sh MACHINE RESULTS_FOLDER [NAME=VALUE ...]     (facts of the machine, such as gpu='NVIDIA H200')
#
# Set GPUOPT_BENCH_REQUIRE_GPU=1 where a GPU must be measured. Results are written even if the check at the end fails.
set -euo pipefail
machine=$1
mkdir -p "$2"
results=$(cd "$2" && pwd)
shift 2
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-python3}")
config=$(mktemp "${TMPDIR:-/tmp}/gpuopt-measure-XXXXXX.conf.json")
trap 'rm -f "$config"' EXIT
"$python" - "$config" "$results" <<'PY'
import json, pathlib, sys
here = pathlib.Path.cwd()
config = json.loads((here / "asv.conf.json").read_text())
config |= {"repo": str(here.parent), "benchmark_dir": str(here / "benchmarks"), "results_dir": sys.argv[2], "branches": ["HEAD"]}
pathlib.Path(sys.argv[1]).write_text(json.dumps(config))
PY
export PYTHONPATH="$PWD/.." ASV_PYTHONPATH="$PWD/.." PYTHONHASHSEED=0 HOME="${RUNNER_TEMP:-$HOME}"
"$python" -m asv --config "$config" machine --yes --machine "$machine"
status=0
# shellcheck disable=SC2086  # several arguments
"$python" -m asv --config "$config" run --show-stderr -E "existing:$python" --machine "$machine" \
  --set-commit-hash "$(git rev-parse HEAD)" ${ASV_ARGUMENTS:-} || status=$?
"$python" tools/normalise.py "$results/$machine" --set "$@"
"$python" tools/check_results.py "$results" --machine "$machine" --least "${LEAST:-60}"
exit "$status"
