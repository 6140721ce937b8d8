"""The asv suite of gpuopt.

Every parameter list is static: one that depends on what is installed would erase the past of other machines.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # here, before anything imports NumPy
