"""Mistakes in what calls functions of whole arrays."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "a buffer that changes in a step which is skipped",
        "Renewal.__call__",
        "array_module(held).where(_1, new, held)",
        "new",
        "test_whole_arrays::test_a_skipped_step_changes_no_buffer",
        emulated=(),
    ),
    Mistake(
        "a buffer that changes behind a closed gate",
        "Buffers.taken_from",
        "Kept(value.made, acts)",
        "Kept(value.made, None)",
        "test_whole_arrays::test_a_gate_holds_buffers_back",
        emulated=(),
    ),
    Mistake(
        "arguments that a function may write to",
        "_guarded",
        "view.flags.writeable = False",
        "pass",
        "test_whole_arrays::test_arguments_are_read_only",
    ),
    Mistake(
        "a buffer that shares memory with what the step alters",
        "WholeArrays.renewal",
        "new.base is not None",
        "False",
        "test_whole_arrays::test_results_may_be_parts_of_what_the_step_alters",
    ),
    Mistake(
        "a small result in room for every element",
        "_room_like",
        "shape != param.shape",
        "False",
        "test_whole_arrays",
    ),
    Mistake(
        "a call in the stage of what it needs",
        "_stages",
        "[gave.call]",
        "[]",
        "test_whole_arrays::test_formula",
    ),
    Mistake(
        "a norm along an axis without its root",
        "_along",
        'apply(graph, "sqrt", found)',
        "found",
        "test_whole_arrays::test_formula",
    ),
    Mistake(
        "arguments in the dtype of the arrays",
        "WholeArrays._seen",
        "array if array.dtype == dtype else array.astype(dtype)",
        "array",
        "test_whole_arrays",
    ),
]
