"""Mistakes in what runs an update."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the last array skipped",
        "TileExecutor",
        "units.each if _1 else units.packed",
        "units.each if _1 else units.packed[:-1]",
        "test_bits::test_formula",
    ),
    Mistake(
        "the last tile skipped",
        "TiledArray.work",
        "self._tiles.get(_1) or self._cut(_1)",
        "(self._tiles.get(_1) or self._cut(_1))[:9]",
        "test_bits::test_tiles_and_packs",
    ),
    Mistake(
        "addresses of gradients that moved kept",
        "LaunchPlanner.plan",
        "_1 or not self._same(grads)",
        "_1",
        "test_launches test_gradients",
    ),
    Mistake(
        "a helper may begin when the caller has left",
        "_Job.help",
        "ticket.acquire(blocking=False)",
        "True",
        "test_interrupts::test_a_helper_that_comes_late_does_nothing",
    ),
    Mistake(
        "helpers at work not waited for",
        "_Job.finish",
        "for ticket in self._tickets:\n    ticket.acquire()",
        "pass",
        "test_interrupts::test_at_every_bytecode_of_a_hand_over",
    ),
    Mistake(
        "a second interrupt ends the wait",
        "_Job.finish",
        "interrupt = [_1]",
        "raise",
        "test_interrupts::test_again_and_again_while_it_waits",
    ),
    Mistake(
        "an interrupt on the way to the wait",
        "pool:run",
        "try:\n    __1\nfinally:\n    job.finish()\njob.check()",
        "__1\njob.check()",
        "test_interrupts::test_at_every_bytecode_of_a_hand_over",
    ),
    Mistake(
        "the error of a helper lost",
        "pool:run",
        "job.check()",
        "pass",
        "test_interrupts::test_the_error_of_a_helper_is_raised_by_the_caller",
    ),
    Mistake(
        "helpers in whatever mode they began in",
        "pool:_mode",
        "_SMALLEST * _HALF",
        "0.0",
        "test_threads::test_subnormals_that_the_caller_flushes_are_flushed_by_all",
    ),
    Mistake(
        "a job that is over keeps its arrays",
        "_Job.finish",
        "self._task = _nothing",
        "pass",
        "test_threads::test_a_job_that_is_over_holds_no_arrays",
    ),
    Mistake(
        "tiles hold the array that holds them",
        "TiledArray._cut",
        "self._tiles[_1] = tiles",
        "self._tiles[_1] = tiles\ntiles[0].operands = {**tiles[0].operands, self: None}",
        "test_lifetime::test_an_optimizer_that_is_dropped_frees_its_arrays",
    ),
]
