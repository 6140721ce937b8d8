"""The text of a CUDA kernel, and what it is called with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.parts import part
from gpuopt.tracing.operands import Operand

__all__ = ["OPTIONS", "PREAMBLE", "KernelSource"]

OPTIONS = ("--fmad=false",)
"""No contraction of a product and a sum, which would give other bits than a CPU's."""

PREAMBLE = "\n" + part("helpers") + part("random")
"""What the body of a kernel may call."""


@dataclasses.dataclass(frozen=True)
class KernelSource:
    """What ``cupy.ElementwiseKernel`` is made from, and the arrays to call it with.

    Attributes
    ----------
    inputs, outputs, body, name : str
        The arguments of ``ElementwiseKernel``; among the inputs are the kernel's scalars, in order.
    reads : tuple of Operand
        The arrays among the inputs, which come first: g, and those that stand for hyperparameters;
        of a reduction all that it reads.
    arrays : tuple of Operand
        p and the states, in the order of the outputs where there are any.
    dtypes : tuple of dtype or None
        Of each argument, inputs first; None for a scalar.
    preamble : str
        What the body uses.
    """

    inputs: str
    outputs: str
    body: str
    name: str
    reads: tuple[Operand, ...]
    arrays: tuple[Operand, ...]
    dtypes: tuple[np.dtype[Any] | None, ...]
    preamble: str = PREAMBLE

    @classmethod
    def of(
        cls,
        inputs: Sequence[tuple[str, np.dtype[Any] | None]],
        outputs: Sequence[tuple[str, np.dtype[Any] | None]],
        lines: Sequence[str],
        name: str,
        reads: tuple[Operand, ...] = (),
        arrays: tuple[Operand, ...] = (),
        preamble: str = PREAMBLE,
    ) -> KernelSource:
        """From each argument's declaration with its dtype."""
        declared = [", ".join(written for written, _ in side) for side in (inputs, outputs)]
        dtypes = tuple(dtype for _, dtype in (*inputs, *outputs))
        return cls(
            declared[0], declared[1], "\n".join(lines), name, reads, arrays, dtypes, preamble
        )

    def python(self) -> str:
        """The Python expression that makes the kernel."""
        body = "\n".join(f"    {line}" for line in self.body.splitlines())
        arguments = [f'"{self.inputs}"', f'"{self.outputs}"', f'"""\n{body}\n    """']
        arguments += [f'"{self.name}"', f"options={OPTIONS!r}"]
        return "cupy.ElementwiseKernel(\n    " + ",\n    ".join(arguments) + ",\n)"
