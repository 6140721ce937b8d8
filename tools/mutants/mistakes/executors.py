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
    Mistake(
        "what others can write is trusted",
        "numba_cache:_is_own",
        "status.st_uid == os.geteuid() and not status.st_mode & 0o022",
        "status.st_uid == os.geteuid()",
        "test_numba_cache::test_what_others_can_write_is_not_run_and_not_changed",
    ),
    Mistake(
        "what others own is trusted",
        "numba_cache:_is_own",
        "status.st_uid == os.geteuid() and not status.st_mode & 0o022",
        "not status.st_mode & 0o022",
        "test_numba_cache::test_what_another_user_owns",
    ),
    Mistake(
        "a folder's link is followed",
        "cache_folder",
        "folder.lstat()",
        "folder.stat()",
        "test_numba_cache::test_a_link_in_place_of_the_folder",
    ),
    Mistake(
        "damaged machine code loaded",
        "numba_cache:read",
        "content if _1 == _2 else None",
        "content",
        "test_numba_cache::test_a_damaged_entry_is_compiled_anew",
    ),
    Mistake(
        "an entry's key is not part of its digest",
        "numba_cache:_digest",
        "key + content",
        "content",
        "test_numba_cache::test_an_entry_for_another_key_is_none",
    ),
    Mistake(
        "what others put in an entry's place is replaced",
        "numba_cache:write",
        "if os.path.lexists(path) and _1:\n    return",
        "pass",
        "test_numba_cache::test_no_file_in_place_of_an_entry",
    ),
    Mistake(
        "half a file left on a full disk",
        "numba_cache:write",
        "Path(file.name).unlink()",
        "pass",
        "test_numba_cache::test_a_full_disk",
    ),
    Mistake(
        "an entry that cannot be loaded stops the work",
        "MachineCode.load_overload",
        "return None",
        "raise",
        "test_numba_cache::test_an_entry_that_numba_cannot_use_is_compiled_anew",
    ),
    Mistake(
        "a full disk stops the work",
        "MachineCode.save_overload",
        "contextlib.suppress(Exception)",
        "contextlib.suppress(KeyError)",
        "test_numba_cache::test_a_step_with_a_full_disk",
    ),
    Mistake(
        "machine code of another version of Numba loaded",
        "MachineCode._key",
        "numba.__version__",
        "''",
        "test_numba_cache::test_another_version_of_numba_finds_nothing",
    ),
]
