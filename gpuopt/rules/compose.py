"""The place of `Chain` and `Partition` in pickles that were made before each had a file of its
own.
"""

from gpuopt.rules.chains import Chain
from gpuopt.rules.partitions import Partition

__all__ = ["Chain", "Partition"]
