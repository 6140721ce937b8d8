"""What decides the speed of the CUDA kernels, and no bit of what they compute.

Texts, tables and launches are made of it, so it is to be set before the first optimizer is made.
"""

from __future__ import annotations

__all__ = [
    "BLOCK",
    "IN_FLIGHT",
    "LANES_IN_FLIGHT",
    "STREAMING_STORES",
    "UPDATE_CHUNK",
    "VECTORS",
]

UPDATE_CHUNK = 4096
"""Elements of an array that `LANES` threads update."""

BLOCK = 128
"""Threads of a block; CuPy's own choice is 128."""

VECTORS = 1
"""How many times 16 bytes of the narrowest array a thread of an update loads before it stores."""

STREAMING_STORES = False
"""Whether a store says that nobody reads it soon."""

IN_FLIGHT = 8
"""Numbers that a thread loads before it adds the first, in a reduction and where it adds totals.

Eight of 4 bytes, in each of 48 warps, are twice what an H200 needs to read at the speed of its
memory.
"""

LANES_IN_FLIGHT = 32
"""The same where one thread adds the lanes of an array, while no other reads."""
