"""An interrupt at a chosen bytecode of what a test does."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


class Stop(BaseException):
    """As KeyboardInterrupt, which pytest would take for the user's."""


def stopped_at(bytecode: int, action: Callable[[], object], file: str | None = None) -> bool:
    """Raise `Stop` in the action at a bytecode, of a file if one is given, counted from 1; whether the action has so many."""
    left = bytecode

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if file is not None and frame.f_code.co_filename != file:
            return None
        frame.f_trace_opcodes = True
        left -= event in {"opcode", "line"}  # Python 3.12 tells of lines alone
        if not left:
            raise Stop  # which ends the tracing, too
        return trace

    return stopped_by(trace, action)


def stopped_by(trace: Callable[[Any, str, Any], Any], action: Callable[[], object]) -> bool:
    """Do the action under a tracer; whether that raised `Stop`.

    No garbage is collected meanwhile: the tracer would stop the functions that hypothesis lets Python call then.
    """
    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        action()
    except Stop:
        return True
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return False
