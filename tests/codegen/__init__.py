"""`gpuopt/codegen`: programs as text, run as C++ and compiled for GPUs, without a GPU."""
