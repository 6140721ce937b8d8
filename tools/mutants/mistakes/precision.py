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
    Mistake(
        "random numbers of the step before where threads share one",
        "NumbaExecutor._lead",
        "call.draw()",
        "pass",
        "test_handover::test_threads_that_share_a_step_draw_the_random_bits_of_one",
    ),
    Mistake(
        "every tile with the random numbers of the first",
        "Loops.of_array",
        "tile.offset + _1.offsets // _1.width",
        "_1.offsets // _1.width",
        "test_handover::test_threads_that_share_a_step_draw_the_random_bits_of_one",
    ),
    Mistake(
        "a loop that draws bits in place of normal numbers",
        "Loops.__init__",
        "any(_1 < ROUNDING for _1 in _2)",
        "False",
        "test_precision::test_chains",
    ),
    Mistake(
        "random numbers in the order of memory",
        "Loops.of_array",
        "tile.array.in_order and _1",
        "_1",
        "test_precision::test_the_layout_decides_no_bit",
    ),
    Mistake(
        "packed arrays numbered by their group",
        "TileExecutor.__init__",
        "PackTile(_1, _2, _3, _4, _5)",
        "PackTile(_1, _1, _3, _4, _5)",
        "test_precision::test_groups_of_arrays",
    ),
    Mistake(
        "packed arrays rounded by the bits of one count",
        "TileExecutor.plan",
        "bool(kernel.random) or not compiled.takes_rows",
        "not compiled.takes_rows",
        "test_precision::test_groups_of_arrays",
    ),
    Mistake(
        "each array of random numbers a step on in the sequence of all",
        "codegen.numba:_Text._draw",
        "[_1] if _2 in before else _3",
        "_3",
        "test_precision::test_groups_of_arrays",
    ),
    TextMistake(
        "the first bits for every state with Numba",
        "numba_header:_DRAWN",
        "types.uint64(48 - before)",
        "types.uint64(48)",
        "test_precision::test_groups_of_arrays",
    ),
]
