"""Mistakes in what calls functions of whole arrays."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "one workspace for two arrays unnoticed",
        "results:check_apart",
        "other != path",
        "False",
        "test_whole_arrays::test_one_workspace_for_two_arrays",
    ),
    Mistake(
        "an array passed as a number",
        "calls:_hyper_arrays",
        "sorted(place.name for place in places)",
        "[]",
        "test_whole_arrays::test_an_array_in_place_of_a_number_that_a_function_gets",
    ),
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
        "a buffer that an evaluation may write to",
        "evaluation:_evaluated",
        "x.copy()",
        "x",
        "test_whole_arrays::test_evaluation_sees_buffers",
    ),
    Mistake(
        "an error of NumPy's, without a remedy, where a function writes to what it gets",
        "_called",
        "'read-only' in str(error)",
        "False",
        "test_whole_arrays::test_arguments_are_read_only",
    ),
    Mistake(
        "the size of an array asked of NumPy, and refused as no function of elements",
        "call_function",
        "function in _ATTRIBUTES",
        "False",
        "test_shapes::test_what_is_refused",
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
        "array if array.dtype == dtype else cast(array, dtype)",
        "array",
        "test_whole_arrays::test_arguments_are_of_the_dtype_computed_in",
    ),
    *(
        Mistake(name, where, right, wrong, "test_whole_array_rules::test_formula")
        for name, where, right, wrong in [
            ("Muon without its look ahead", "Muon.update", "self.beta * m + (1 - self.beta) * g if _1 else m", "m"),
            ("Muon scaled as for the transposed matrix", "_orthogonal", "rows / columns", "columns / rows"),
            ("Adafactor's rows without their mean", "_factored", "row / np.maximum(_1, eps)", "row"),
            ("Adafactor's step not relative to its array", "Adafactor.update", "np.maximum(self.eps2, _1)", "self.eps2"),
            ("CAME's confidence of the gradient", "CAME.update", "abs2(u - m)", "abs2(u)"),
            ("SM3 by the largest bound", "_covered", "np.minimum(bound, own)", "np.maximum(bound, own)"),
            ("Adam-mini with one moment for all", "_of_slices", "tuple(range(1, squares.ndim))", "tuple(range(squares.ndim))"),
            ("Shampoo's root of half the order", "_preconditioned", "2 * g.ndim", "g.ndim"),
            ("SOAP's second moment in the order of before", "_refreshed", "np.take(v, order, axis=axis)", "v"),
            ("SOAP that moves in its first step", "SOAP.update", "at_first(t, p, new)", "new"),
        ]
    ),
]
