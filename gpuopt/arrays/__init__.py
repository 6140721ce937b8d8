"""What arrays are: their library, dtypes, trees, memory, and how 16-bit parameters are stored.

Comes in: arrays and trees as the user gave them. Imports: NumPy, and nothing of the other wings.
"""
