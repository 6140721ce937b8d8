"""Run a module or a script on the emulated GPU, as Python runs one where there is a GPU.

python -m tests.support.emulated_gpu -m gpuopt bench --backend cupy --sizes 1000 --many 3 50
python -m tests.support.emulated_gpu FILE.py [ARGUMENT ...]
"""

from __future__ import annotations

import runpy
import sys

from tests.support.emulated_gpu import device

if __name__ == "__main__":
    device.plug_in()
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
