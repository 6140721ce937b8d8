"""Mistakes that a GPU alone would punish: the tests for one notice them on the emulated device."""

from __future__ import annotations

from tools.mutants.planting import Mistake, TextMistake

__all__ = ["MISTAKES"]

CHECKED, SHUFFLED, LATE = ("EMULATED_CHECK=1",), ("EMULATED_CHECK=1", "EMULATED_SEED=7"), ("EMULATED_STREAMS=late",)

MISTAKES: list[Mistake] = [
    Mistake(
        "rows that are counted from the end updated before the array",
        "DeviceRows.plan",
        "index % len(self._param)",
        "index",
        "test_row_updates",
        emulated=(),
    ),
    Mistake(
        "a row that is updated while its kernel is compiled",
        "_RowsWriter.rows",
        "['if (row < count) {', _1, '}']",
        "[_1]",
        "test_row_updates",
        emulated=(),
    ),
    Mistake(
        "rows that are uploaded where there is room for fewer",
        "DeviceRows._uploaded",
        "len(_1) > self._room",
        "not self._room",
        "test_row_updates",
        emulated=(),
    ),
    TextMistake(
        "a ticket of a reduction that is not atomic",
        "_CLIMB",
        "atomicAdd(ticket, 1) != members - 1",
        "(*ticket)++ != members - 1",
        "test_reductions::test_order_of_the_sum",
        emulated=SHUFFLED,
    ),
    TextMistake(
        "a ticket of a reduction that goes on one too early",
        "_CLIMB",
        "!= members - 1",
        "!= members - 2",
        "test_reductions::test_order_of_the_sum",
        emulated=(),
    ),
    TextMistake(
        "a ticket of a reduction that is not reset",
        "_CLIMB",
        "*ticket = 0;",
        "",
        "test_gpu",
        emulated=(),
    ),
    TextMistake(
        "a store before the last load",
        "UpdateWriter._update",
        "[*before, *loop, *after]",
        "[*before[:-1], *loop, *after, before[-1]]",
        "test_gpu",
        emulated=(),
    ),
    Mistake(
        "numbers that are rewritten before they were copied",
        "PinnedUpload.write",
        "self._copied.synchronize()",
        "pass",
        "test_device::test_a_device_that_is_far_behind_has_the_numbers_of_each_step",
        emulated=LATE,
    ),
    Mistake(
        "16 bytes at once of an array at 4 bytes",
        "UpdateWriter._chunk",
        'f"(({addresses}) & 15) == 0"',
        '"true"',
        "test_table",
        emulated=CHECKED,
    ),
    Mistake(
        "one array's size one too large in the table",
        "Table.__init__",
        "[size, 0, index, 0, 0, *addresses]",
        "[size + (position == 1), 0, index, 0, 0, *addresses]",
        "test_table",
        emulated=CHECKED,
    ),
    TextMistake(
        "the address of a list that was freed",
        "UploadCache.keep",
        "upload = self._fresh()\n upload.write_at_once(key)",
        "return self._several(1)[0].write_at_once(key)",
        "test_capture::test_a_model_may_keep_and_move_what_it_makes",
        emulated=CHECKED,
    ),
    Mistake(
        "a kernel without arrays, though a number may change alone",
        "UpdateWriter.update",
        "PARAM in moved or not moved",
        "PARAM in moved",
        "test_scalar_states::test_a_number_may_change_alone",
        emulated=(),
    ),
]
