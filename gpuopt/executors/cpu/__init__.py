"""NumPy arrays: cut into tiles or packed, and run by NumPy's ufuncs or a Numba loop on threads.

`tiles.py` has the base of both executors; `work.py` and `packs.py` what it runs, `kernel.py` how.
"""
