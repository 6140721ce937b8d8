"""Mistakes in how a formula becomes a program, and a program text."""

from __future__ import annotations

from tools.mutants.planting import Mistake, TextMistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "a master copy not stored",
        "parts:_Run.finished",
        "values[state(MASTER)] = values[PARAM]",
        "values[state(MASTER)] = self._array(state(MASTER))",
        "test_precision",
    ),
    Mistake(
        "1 - beta in float32",
        "host:_LEAVES",
        "f'hyper[{name!r}]'",
        "f'float(__import__(\"numpy\").float32(hyper[{name!r}]))'",
        "test_accuracy",
    ),
    Mistake(
        "the gradient for scratch",
        "codegen.numpy:_Buffers",
        "dict.fromkeys(_1.values(), sys.maxsize)",
        "dict.fromkeys(_1.values(), -1)",
        "test_operations test_bits",
    ),
    Mistake(
        "a parameter overwritten that is its own gradient",
        "may_share",
        "_1 == _2 or _3",
        "_1 == _2",
        "test_operations::test_operations_on_values_they_replace",
    ),
    Mistake(
        "15 random bits for 16",
        "_stochastic_bfloat16",
        "_1.dtype.type(65536)",
        "_1.dtype.type(32768)",
        "test_precision::test_all_16_bits_count",
    ),
    TextMistake(
        "a GPU's kernel without its tail",
        "_UpdateWriter._chunk",
        "whole + lane; at < stop;",
        "whole + lane; at < whole;",
        "test_cuda_table",
    ),
    Mistake(
        "a loop's text that depends on its constants",
        "numba:_statements",
        "names[op] = f'x{_1}'",
        "names[op] = f'x{op.index}'",
        "test_numba::test_another_constant_is_no_other_text",
    ),
]
