#!/usr/bin/env bash
# Everything that only a machine with a GPU can show, in one command of under 8 minutes.
#
#   bash tools/gpu_check.sh FOLDER
#
# Leaves in FOLDER: suite.log (the whole suite with --require-gpu, CPU and GPU compared bit for bit among it),
# speed.log (every rule beside a device copy, what a user would write, torch fused and foreach, optax under jit; many small
# arrays), demo.log and demo.png, and where asv is installed asv/, its results. Exit code 1 if any of them failed.
set -uo pipefail
folder=${1:?usage: bash tools/gpu_check.sh FOLDER}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
failed=0

step() {  # a name, a limit in seconds, a command
  local name=$1 limit=$2
  shift 2
  echo "== $name"
  timeout "$limit" "$@" 2>&1 | tee "$folder/$name.log" | tail -n 25
  local code=${PIPESTATUS[0]}
  [ "$code" -eq 0 ] || { echo "== $name failed with $code"; failed=1; }
}

nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv | tee "$folder/device.log"
step info 30 python3 -m gpuopt info
step suite 290 python3 -m pytest --require-gpu -q -p no:cacheprovider
step speed 100 python3 -m gpuopt bench --backend cupy --sizes 1000000 64000000 --rounds 9
python3 -c 'import asv' 2> /dev/null && step asv 90 env GPUOPT_BENCH_REQUIRE_GPU=1 PYTHON=python3 bash asv_bench/quick.sh "$folder/asv"
step demo 40 python3 -m gpuopt demo --backend cupy --batch-size 32 --epochs 5 --output "$folder/demo.png"
exit $failed
