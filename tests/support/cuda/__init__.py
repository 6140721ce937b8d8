"""Checks of generated CUDA kernels on a machine without a GPU.

``nvrtc`` compiles the exact text that CuPy would compile, for a GPU, and reads what came out. ``hostbuild`` compiles it for the
CPU, where ``tests.support.emulated_gpu`` runs it. Nothing here imports CuPy before a function is called, so that a test suite
without CuPy can collect. Import it as ``tests.support.cuda``: as a top-level ``cuda`` it would hide the ``cuda.pathfinder``
that CuPy needs.
"""
