"""How long gpuopt takes to import, beyond NumPy, which every user has imported."""

import statistics
import subprocess
import sys

_CODE = """
import sys, time
import numpy
start = time.perf_counter()
import gpuopt
print(time.perf_counter() - start)
"""


class Import:
    """In fresh processes; the median of some."""

    params = ()

    def track_import(self):
        times = []
        for _ in range(9):
            done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
            times.append(1e3 * float(done.stdout))
        return statistics.median(times[1:])  # the first writes bytecode

    track_import.unit = "ms"
    track_import.pretty_name = "Import of gpuopt beyond NumPy's"
    track_import.version = "1"
