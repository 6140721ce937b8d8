"""The text of the functions by which threads share the calls of compiled loops, for Numba.

No lock, and nothing of Python, is between the caller's word and a helper's first call. They meet in
a block of memory whose words lie on cache lines of their own:

- BUSY: whether a caller has the block;
- OPEN: whether helpers may begin;
- ACTIVE: how many have begun, or look whether they may;
- TAKEN, LAST: how many calls were taken, and how many of these by helpers, who take them from the
  end: so a thread finds in its cache what it had in the step before;
- COUNT, ROWS, LIMIT: how many calls there are, where they stand, and how many helpers are wanted;
- POLLING: how many helpers look into the block all the time;
- CALLED: changes if they are wanted elsewhere.

A row is a call of a loop: the address of its machine code, that of the gradient, and that of the
table (see `gpuopt.codegen.numba_header.HEAD`). A caller first sets the calls, then OPEN. A helper
adds itself to ACTIVE, and only then looks at OPEN. At the end the caller first resets OPEN, and
only then waits until nobody is ACTIVE. All of it is in one order (seq_cst), so either the helper
sees that it is too late, or the caller sees the helper.
"""

from __future__ import annotations

from gpuopt.codegen.numba_intrinsics import END

__all__ = ["CALLED", "HANDOVER", "POLLING", "ROW", "WORDS"]

WORDS = 64
"""How many words the block has, of 8 bytes each."""

ROW = 3
"""How many words a row has."""

POLLING = 40
"""The word of the block that Python reads."""

CALLED = 48
"""The word of the block that Python changes."""

_SHARED = """import os
import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = types.int64
PAUSES = {"x86_64": "llvm.x86.sse2.pause", "amd64": "llvm.x86.sse2.pause"}
PAUSE = PAUSES.get(platform.machine().lower())


@intrinsic
def load(context, address):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(pointer, "seq_cst", 8)

    return WORD(WORD), generate


@intrinsic
def store(context, address, value):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store_atomic(arguments[1], pointer, "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(WORD, WORD), generate


def exchanging(operation):
    @intrinsic
    def exchanged(context, address, value):
        def generate(context, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
            return builder.atomic_rmw(operation, pointer, arguments[1], "seq_cst")

        return WORD(WORD, WORD), generate

    return exchanged


add, exchange = map(exchanging, ("add", "xchg"))
del exchanging


@intrinsic
def pause(context):
    def generate(context, builder, signature, arguments):
        if PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, PAUSE), [])
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def let_others_run(context):
    def generate(context, builder, signature, arguments):
        if os.name == "posix":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def call(context, loop, gradient, table):
    array = types.Array(types.float32, 1, "C")  # the loop asks for its address alone
    kinds = (array, WORD, WORD)

    def generate(context, builder, signature, arguments):
        loop, gradient, table = arguments
        made = context.make_array(array)(context, builder, cgutils.get_null_value(
            context.get_value_type(array)
        ))
        made.data = builder.inttoptr(gradient, context.get_data_type(array.dtype).as_pointer())
        kind = context.call_conv.get_function_type(types.none, kinds)
        pointer = builder.inttoptr(loop, kind.as_pointer())
        given = [made._getvalue(), table, ir.IntType(64)(0)]
        context.call_conv.call_function(builder, pointer, types.none, kinds, given)
        return context.get_dummy_value()

    return types.none(WORD, WORD, WORD), generate


"""
_WORDS = f"""BUSY, OPEN, ACTIVE, TAKEN, LAST = 0, 64, 128, 192, 200
COUNT, ROWS, LIMIT = 256, 264, 272
POLLING, CALLED, ROW = {8 * POLLING}, {8 * CALLED}, {8 * ROW}
"""
_FUNCTIONS = """def work(block, leads):
    count, rows = load(block + COUNT), load(block + ROWS)
    index = 0
    while add(block + TAKEN, 1) < count:
        if not leads:
            index = count - 1 - add(block + LAST, 1)
        row = rows + ROW * index
        call(load(row), load(row + 8), load(row + 16))
        index += 1


def lead(block, rows, count, helpers):
    if exchange(block + BUSY, 1):  # by another thread's step: this one is done alone
        for index in range(count):
            row = rows + ROW * index
            call(load(row), load(row + 8), load(row + 16))
        return
    store(block + ROWS, rows)
    store(block + COUNT, count)
    store(block + LIMIT, helpers)
    store(block + TAKEN, 0)
    store(block + LAST, 0)
    store(block + OPEN, 1)
    work(block, True)
    store(block + OPEN, 0)
    turns = 0
    while load(block + ACTIVE):
        pause()
        turns += 1
        if turns % 4096 == 0:
            let_others_run()
    store(block + BUSY, 0)


def serve(block, turns):
    add(block + POLLING, 1)
    called, left = load(block + CALLED), turns
    while left > 0 and load(block + CALLED) == called:
        if load(block + OPEN) and load(block + TAKEN) < load(block + COUNT):
            if add(block + ACTIVE, 1) < load(block + LIMIT) and load(block + OPEN):
                work(block, False)
                left = turns
            add(block + ACTIVE, -1)
        pause()
        left -= 1
    add(block + POLLING, -1)


def wait(turns):
    for _ in range(turns):
        pause()
"""
HANDOVER = _SHARED + _WORDS + END + _FUNCTIONS
