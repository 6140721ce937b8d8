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
        "f'hyper[{_1!r}]'",
        "f'float(__import__(\"numpy\").float32(hyper[{_1!r}]))'",
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
    Mistake(
        "a keyword of a ufunc dropped",
        "call_ufunc",
        "refuse_keywords(_1, _2)",
        "pass",
        "test_keywords",
    ),
    Mistake(
        "a keyword of a reduction dropped",
        "call_function",
        "refuse_keywords(_1, _2)",
        "pass",
        "test_keywords",
    ),
    Mistake(
        "any value of a keyword taken for one that changes nothing",
        "keywords:_is_neutral",
        "any(_1 is _2 for _2 in _3)",
        "_1 is not None",
        "test_keywords",
    ),
    Mistake(
        "truth values added as numbers",
        "of_truth_values",
        "_LOGICAL.get(_1, _1)",
        "_1",
        "test_truth",
    ),
    Mistake(
        "the bits of a number taken for truth values",
        "of_truth_values",
        "_bitwise(_1, _2, _3)",
        "_bitwise(_1, _2, True)",
        "test_truth",
    ),
    Mistake(
        "a choice between truth values made a number",
        "functions:_where",
        "_1[0].boolean and _2[0].boolean",
        "False",
        "test_truth::test_what_is_made_of_truth_values",
    ),
    Mistake(
        "the largest truth value made a number",
        "reduced",
        "_1 == 'max' and _2[0].boolean",
        "False",
        "test_truth::test_what_is_made_of_truth_values",
    ),
    Mistake(
        "a mask made of numbers taken for their comparison",
        "Graph._intern",
        "(_1, host, _2, *_3)",
        "(_1, _2, *_3)",
        "test_truth",
    ),
    Mistake(
        "a rule of gpuopt taken for the tracer",
        "_is_of_a_rule",
        "return not _1 or _2",
        "return not _1",
        "test_errors",
    ),
    Mistake(
        "complex numbers that are small or large not scaled by NumPy",
        "wide:_repair",
        "out[_1] = _2",
        "pass",
        "test_wide",
    ),
    Mistake(
        "a quotient of large numbers not noticed",
        "_tile_quotient",
        "_1(square, large) and _1(scratch, large)",
        "_1(square, large)",
        "test_wide",
    ),
    Mistake(
        "a scaled quotient not scaled back",
        "wide:_quotient",
        "np.where(_1 == _2, _3, _3 * _2 / _1)",
        "_3",
        "test_wide",
    ),
    TextMistake(
        "an infinite modulus NaN to Numba",
        "wide:NUMBA",
        "infinity if (abs(a) == infinity) | (abs(b) == infinity) else size",
        "size",
        "test_wide",
    ),
    TextMistake(
        "the direction of 0 NaN on a GPU",
        "helpers.cuh",
        "a == T(0) && b == T(0) ? T(0) : u",
        "u",
        "test_wide",
    ),
    Mistake(
        "operations of any depth written inside of each other",
        "KernelWriter._compute",
        "_1 > _DEEP",
        "False",
        "test_linear",
    ),
    Mistake(
        "a quotient written over what it is made of",
        "codegen.numpy:_Writer._read_late",
        "op.op in ('stochastic_bfloat16', 'quotient')",
        "op.op in ('stochastic_bfloat16',)",
        "test_wide test_operations",
    ),
    TextMistake(
        "a GPU's kernel without its tail",
        "_UpdateWriter._chunk",
        "whole + lane; at < stop;",
        "whole + lane; at < whole;",
        "test_cuda_table",
    ),
]
