#!/usr/bin/env bash
# Everything that only a machine with a GPU can show, in one command of under 8 minutes; --help says what it runs and leaves.
#
#   bash tools/gpu_check.sh FOLDER [--resume]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "${PYTHON:-python3}" -P -m tools.gpu_check "$@"
