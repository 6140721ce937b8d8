"""Mistakes in what arrays are: dtypes, memory, trees, random bits."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the last element outside of an array's memory",
        "memory:bounds",
        "_1 = _2 + _3.itemsize",
        "_1 = _2",
        "test_refusals test_bits::test_layout",
    ),
    Mistake(
        "memory of a reversed array",
        "memory:bounds",
        "_1 < 0",
        "False",
        "test_refusals",
    ),
    Mistake(
        "an array that begins before a gradient",
        "Memory.sharing",
        "bisect.bisect_left(_1, _2 - self._longest)",
        "bisect.bisect_left(_1, _2)",
        "test_refusals",
    ),
    Mistake(
        "neighbours in memory not compared",
        "Memory.check_distinct",
        "self._entries[_1 + 1:]",
        "self._entries[_1 + 2:]",
        "test_refusals::test_parameters",
    ),
    Mistake(
        "arrays that begin inside a gradient",
        "Memory.clear_of",
        "np.searchsorted(_1, highs)",
        "np.searchsorted(_1, lows)",
        "test_gradients",
    ),
    Mistake(
        "memory that is reached through another library",
        "Memory.suspects",
        "_1 or _2 or not _owns(_3)",
        "_1 or _2",
        "test_refusals",
    ),
    Mistake(
        "elements of one array that overlap",
        "check:_overlaps_itself",
        "_1 += _2 * (_3 - 1)",
        "pass",
        "test_refusals",
    ),
    Mistake(
        "a parameter that is read-only",
        "check:_parameter",
        "isinstance(_1, np.ndarray) and not _1.flags.writeable",
        "False",
        "test_refusals",
    ),
    Mistake(
        "a gradient that would be broadcast",
        "check:gradient",
        "g.shape != p.shape",
        "g.size != p.size",
        "test_refusals",
    ),
    Mistake(
        "an array in foreign byte order",
        "dtypes:supported",
        "_1 and dtype.isnative",
        "_1",
        "test_refusals",
    ),
    Mistake(
        "the same random bits for every array",
        "random:base",
        "(0, leaf, stream)",
        "(0, 0, stream)",
        "test_precision",
    ),
    Mistake(
        "random bits one element behind",
        "random:fill",
        "after(_1, 1)",
        "after(_1, 0)",
        "test_precision",
    ),
    Mistake(
        "steps whose random bits are alike",
        "random:base",
        "16 * _1",
        "8 * _1",
        "test_precision test_chain",
    ),
    Mistake(
        "a master copy for float32 arrays, too",
        "Precision.of",
        "_1 if _2 else _3",
        "_1",
        "test_precision",
    ),
    Mistake(
        "a tree with a key too many",
        "tree:_match",
        "tree.keys() != _1.keys()",
        "not _1.keys() <= tree.keys()",
        "test_refusals",
    ),
    Mistake(
        "leaves of a dict in the order of another one",
        "tree:_match",
        "map(tree.__getitem__, _1)",
        "tree.values()",
        "test_tree",
    ),
    Mistake(
        "a named tuple that becomes a tuple",
        "tree:_build",
        "hasattr(_1, '_fields')",
        "False",
        "test_contract",
    ),
    Mistake(
        "an array that was collected taken for a missing one",
        "SameObjects.__call__",
        "self._collected or _1 or _2",
        "_1 or _2",
        "test_identity",
    ),
    Mistake(
        "a tensor on a GPU that requires a gradient",
        "on_gpu",
        "return True",
        "return False",
        "test_check",
    ),
    Mistake(
        "a matrix without its elements",
        "conversion",
        "_1 = f'{name}.toarray()'",
        "pass",
        "test_check test_fit",
    ),
    Mistake(
        "named tuples matched by position",
        "tree:_match",
        "_1[given.index(_2)]",
        "_1[fields.index(_2)]",
        "test_tree",
    ),
]
