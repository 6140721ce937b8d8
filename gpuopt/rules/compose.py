"""The module of `Chain` and `Partition` in old pickles, made before each class had its own file."""

from gpuopt.rules.chains import Chain
from gpuopt.rules.partitions import Partition

__all__ = ["Chain", "Partition"]
