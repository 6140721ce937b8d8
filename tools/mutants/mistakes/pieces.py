"""Mistakes in pieces of chains: arrays written in them, projections and penalties."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "two pieces told apart by what array they hold, not by its elements",
        "written:_equal",
        "_1 and bool((a == b).all())",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "arrays compared without their dtypes",
        "written:_equal",
        "(a.shape, a.dtype) == (b.shape, b.dtype)",
        "a.shape == b.shape",
        "test_written_arrays",
    ),
    Mistake(
        "an array that is exchanged while steps read another",
        "hyper_arrays:check_kept",
        "not same(_1, _2)",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "a tree of arrays taken for one array",
        "hyper_arrays:_written",
        "isinstance(value, (dict, list, tuple))",
        "isinstance(value, (list, tuple))",
        "test_written_arrays",
    ),
    Mistake(
        "no number, where there is no array in its place",
        "hyper_arrays:_written",
        "update.hyperparameters[name] is not None",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "an array in a state dict",
        "state_dict_of",
        "not callable(x) and (not is_written(x))",
        "not callable(x)",
        "test_written_arrays",
    ),
]
