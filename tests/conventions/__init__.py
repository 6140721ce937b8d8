"""`gpuopt/conventions`: other libraries' calls."""
