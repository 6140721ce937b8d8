"""The fixed parts of CUDA text: they are shipped, and hold the same constants as Python's code."""

from __future__ import annotations

import pytest

from gpuopt.arrays import random
from gpuopt.codegen.cuda.parts import part


@pytest.mark.parametrize("name", ["GOLDEN", "FIRST", "SECOND"])
def test_the_bits_of_splitmix64_have_the_same_constants(name: str) -> None:
    assert f"0x{getattr(random, name):X}ull" in part("random")


def test_a_part_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.cuh"):
        part("nothing")
