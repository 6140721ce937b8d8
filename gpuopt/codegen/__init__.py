"""A program, written as text: for the host, NumPy, Numba and CUDA; needs neither Numba, CuPy nor a
GPU.

Comes in: a traced program and dtypes. Imports: `arrays`, `rules` and `tracing`.
"""
