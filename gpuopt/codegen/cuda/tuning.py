"""What decides the speed of the CUDA kernels, and no bit of what they compute.

It is read as a text is written, and as a table is made.
"""

from __future__ import annotations

__all__ = ["IN_FLIGHT", "LANES_IN_FLIGHT", "UPDATE_CHUNK"]

UPDATE_CHUNK = 4096
"""Elements of an array that `LANES` threads update."""

IN_FLIGHT = 8
"""Numbers that a thread loads before it adds the first, in a reduction and where it adds totals.

Eight of 4 bytes, in each of 48 warps, are twice what an H200 needs to read at the speed of its
memory.
"""

LANES_IN_FLIGHT = 32
"""The same where one thread adds the lanes of an array, while no other reads."""
