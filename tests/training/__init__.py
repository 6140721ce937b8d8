"""`gpuopt/training`: loops."""
