"""Mistakes in what is stored in 16 bits."""

from __future__ import annotations

from tools.mutants.planting import Mistake, TextMistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "all states rounded by the bits of the parameter",
        "rounding:rounded",
        "uniform(_1, _2, _3, stream)",
        "uniform(_1, _2, _3, ROUNDING)",
        "test_precision::test_states_are_rounded_apart",
    ),
    Mistake(
        "four arrays rounded by the same bits",
        "sequence_of",
        "16 * word",
        "0 * word",
        "test_precision::test_states_are_rounded_apart",
    ),
    Mistake(
        "a state that keeps the parameter in 16 bits",
        "may_be_short",
        "new.parts == p.parts",
        "False",
        "test_precision::test_what_stands_for_a_parameter_keeps_float32",
    ),
    Mistake(
        "a state that begins as the parameter in 16 bits",
        "may_be_short",
        "all(map(_is_number, by))",
        "True",
        "test_precision::test_what_stands_for_a_parameter_keeps_float32",
    ),
    Mistake(
        "an average of parameters in 16 bits",
        "may_be_short",
        "has_hook(_1, _2) and not begun",
        "False",
        "test_precision::test_what_stands_for_a_parameter_keeps_float32",
    ),
    Mistake(
        "all state of what evaluates in float32",
        "may_be_short",
        "has_hook(_1, _2) and not begun",
        "has_hook(_1, _2)",
        "test_precision::test_what_stands_for_a_parameter_keeps_float32",
    ),
    Mistake(
        "complex state in 16 bits",
        "_Run._short",
        "_1 is Kind.REAL",
        "True",
        "test_precision::test_what_stands_for_a_parameter_keeps_float32",
    ),
    Mistake(
        "a seed forgotten where state alone is rounded",
        "Precision.__post_init__",
        "_1.stochastic_rounding or _2 is not None",
        "_1.stochastic_rounding",
        "test_precision::test_a_seed_counts_where_it_is_used",
    ),
    Mistake(
        "a seed lost with float32 parameters",
        "Precision.of",
        "Precision(seed=_1, state_dtype=_2)",
        "Precision(state_dtype=_2)",
        "test_precision::test_groups_of_arrays",
    ),
    Mistake(
        "a seed compared that one of two runs does not use",
        "saved_format:_check_precision",
        "_1 == _2 or precision.stochastic_rounding",
        "True",
        "test_precision::test_state_of_another_dtype_is_converted",
    ),
    Mistake(
        "a seed of rounded parameters not compared",
        "saved_format:_check_precision",
        "_1 == _2 or precision.stochastic_rounding",
        "_1 == _2",
        "test_precision::test_a_seed_counts_where_it_is_used",
    ),
    Mistake(
        "float32 taken for state of 16 bits that was saved as such",
        "Saved.__init__",
        "len(asked) > 1",
        "True",
        "test_precision::test_a_seed_counts_where_it_is_used",
    ),
    TextMistake(
        "the first bits for every state on a GPU",
        "random.cuh",
        "<< before",
        "",
        "test_precision::test_groups_of_arrays",
        emulated=(),
    ),
    TextMistake(
        "the first bits for every state with Numba",
        "codegen.numba:_FILL",
        "<< before",
        "",
        "test_precision::test_groups_of_arrays",
    ),
]
