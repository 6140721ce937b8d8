"""Arrays: their library, dtypes, trees and memory, and the storage of 16-bit parameters.

Comes in: the user's arrays and trees. Imports: NumPy, and nothing of the other wings.
"""
