"""NumPy arrays: cut into tiles or packed, and run by NumPy's ufuncs or a Numba loop on several threads."""
