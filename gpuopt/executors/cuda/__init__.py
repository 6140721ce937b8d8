"""CuPy arrays: launches that update many arrays at once.

`launch.py` has the executor. `tables.py` finds the arrays of a launch, `singles.py` has launches
for one array, `uploads.py` brings numbers to the device. `runtime.py` is all that is asked of CuPy.
"""
