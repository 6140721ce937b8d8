#!/usr/bin/env bash
# Measure the commit at hand in asv's own environment, which asv.conf.json pins, under a machine's name, ready to be published.
#
#   bash asv_bench/tools/measure.sh MACHINE [NAME=VALUE ...]     (facts of the machine, such as gpu='NVIDIA H200'; asv finds others)
#
# Results go to asv_bench/results. $SKIPPED is how many commits of the last 20 that lack a result there are measured after it (0).
# Set GPUOPT_BENCH_REQUIRE_GPU=1 where a GPU must be measured. Results are written even if the check at the end fails.
set -euo pipefail
machine=$1
shift
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-python3}")
"$python" - "$machine" "$@" <<'PY'
import sys
from asv.machine import Machine, MachineCollection
name, *facts = sys.argv[1:]
given = dict(fact.split("=", 1) for fact in facts)
MachineCollection.save(name, {**Machine.get_defaults(), **given, "machine": name})
PY
head=$(git rev-parse HEAD)
commits=$head
skipped=${SKIPPED:-0}
for commit in $(git rev-list --first-parent --skip=1 --max-count=20 HEAD); do
  if [ "$skipped" -gt 0 ] && ! compgen -G "results/$machine/${commit:0:8}-*.json" > /dev/null; then
    commits+=$'\n'$commit
    skipped=$((skipped - 1))
  fi
done
export PYTHONHASHSEED=0
status=0
# shellcheck disable=SC2086  # several arguments
"$python" -m asv run --machine "$machine" --show-stderr ${ASV_ARGUMENTS:-} HASHFILE:- <<< "$commits" || status=$?
"$python" tools/check_results.py results --machine "$machine" --commit "$head" --least "${LEAST:-60}"
exit "$status"
