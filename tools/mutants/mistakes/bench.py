"""Mistakes in what is measured, and in what a command line may say."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "many arrays on a GPU measured beside everybody, for minutes",
        "kinds_for",
        "count == 1 or _1 is np",
        "True",
        "test_bench::test_many_arrays_on_a_gpu_are_measured_beside_torch_alone",
    ),
    Mistake(
        "a block with as many calls as a step is short",
        "rivals:compare",
        "min(_1, _MOST)",
        "_1",
        "test_bench::test_a_block_lasts_a_while_and_has_not_too_many_calls",
    ),
    Mistake(
        "a block of as many calls, however long one takes",
        "rivals:compare",
        "min(_1, _MOST)",
        "_MOST",
        "test_bench::test_a_block_lasts_a_while_and_has_not_too_many_calls",
    ),
    Mistake(
        "the least number of an option refused",
        "whole_number",
        "value < least",
        "value <= least",
        "test_bench::test_markdown_on_stdout_and_in_a_file",
    ),
    Mistake(
        "what is no number at all taken for the least one",
        "whole_number",
        "least - 1",
        "least",
        "test_demo::test_bad_option",
    ),
]
