#!/usr/bin/env bash
# Everything that only a machine with a GPU can show, in one command of under 8 minutes.
#
#   bash tools/gpu_check.sh FOLDER
#
# Ends with a summary, FOLDER/summary.md: each bar and whether it was met, and tables for docs/performance.md. Beside it lie
#   suite.log      the whole suite with --require-gpu, CPU and GPU compared bit for bit among it (without pytest-xdist to share it
#                  among processes, the tests that need a GPU)
#   speed.*        every rule at 64 M float32 and on 300 arrays of 1,000, beside a device copy, what a user would write, torch
#                  fused and foreach, and optax under jit
#   bfloat16.*, master.*, rounded.*   the same for Adam in bfloat16: plain, with float32 copies, rounded at random
#   graph.*        small steps, and their replay from a CUDA graph
#   benchmarks.*   the asv suite's benchmarks of the GPU, in one process, without asv
#   demo.log, demo.png, info.log, device.log
# Exit code 1 if any of them failed; a bar that was missed is no failure. $PYTHON chooses the interpreter;
# $GPUOPT_CHECK_BACKEND=numpy tries the script without a GPU
# ($GPUOPT_CHECK_SIZE: elements in place of 64000000).
set -uo pipefail
folder=${1:?usage: bash tools/gpu_check.sh FOLDER}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
python=${PYTHON:-python3} backend=${GPUOPT_CHECK_BACKEND:-cupy} size=${GPUOPT_CHECK_SIZE:-64000000}
failed=0

step() { # a name, a limit in seconds, a command; all limits together are less than 480. After SIGINT pytest names what failed
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  echo "== $name"
  timeout --signal=INT --kill-after=5 "$limit" "$@" 2>&1 | tee "$folder/$name.log" | tail -n 25
  local code=${PIPESTATUS[0]}
  echo "== $name: $((SECONDS - start)) s"
  [ "$code" -eq 0 ] || { echo "== $name failed with $code" | tee -a "$folder/failed.log"; failed=1; }
}

bench() { # a name, a limit in seconds, further options
  local name=$1 limit=$2
  shift 2
  step "$name" "$limit" "$python" -m gpuopt bench --backend "$backend" --rounds 9 --output "$folder/$name.json" "$@"
}

has() { "$python" -c "import $1; assert hasattr($1, '$2')" 2> /dev/null; }

rm -f "$folder"/{failed,suite,demo}.log "$folder"/{speed,bfloat16,master,rounded,graph,benchmarks}.{log,json}
timeout 10 nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv 2>&1 | tee "$folder/device.log"
step info 15 "$python" -m gpuopt info
many=(--many 300 1000)
bench speed 90 --sizes "$size" "${many[@]}"
bench bfloat16 40 --sizes "$size" "${many[@]}" --rules adam --dtype bfloat16
bench master 20 --sizes "$size" "${many[@]}" --rules adam adamw --dtype bfloat16 --init master
bench rounded 20 --sizes "$size" "${many[@]}" --rules adam --dtype bfloat16 --init stochastic_rounding
if [ "$backend" = cupy ] && has gpuopt graph; then
  bench graph 35 --sizes 1000 "${many[@]}" --rules adam adamw momentum --graph
fi
if [ "$backend" = cupy ]; then
  suite=(--require-gpu)
  if has xdist __name__; then
    suite+=(-n 8 -p no:benchmark) # pytest-benchmark warns of xdist, and a warning is an error
  else
    suite+=(-m gpu)
  fi
  step suite 155 "$python" -m pytest "${suite[@]}" -q -p no:cacheprovider
  step benchmarks 65 env GPUOPT_BENCH_REQUIRE_GPU=1 "$python" asv_bench/tools/here.py cupy --seconds 55 --output "$folder/benchmarks.json"
fi
step demo 25 "$python" -m gpuopt demo --backend "$backend" --batch-size 32 --epochs 5 --output "$folder/demo.png"
"$python" tools/gpu_summary.py "$folder" || failed=1
exit $failed
