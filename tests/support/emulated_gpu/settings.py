"""How the emulated device behaves: what the environment says when it is loaded."""

from __future__ import annotations

import os


def _number(name: str, default: int) -> int:
    given = os.environ.get(name) or str(default)
    if not given.isdecimal():
        raise ValueError(f"{name} must be a whole number, got {given!r}")
    return int(given)


def _late() -> bool:
    given = os.environ.get("EMULATED_STREAMS") or "now"
    if given not in {"now", "late"}:
        raise ValueError(f"EMULATED_STREAMS must be now or late, got {given!r}")
    return given == "late"


LATE = _late()
CHECK = _number("EMULATED_CHECK", 0)
SEED = _number("EMULATED_SEED", 0)
WORKERS = _number("EMULATED_WORKERS", 1)
DEVICES = _number("EMULATED_DEVICES", 2)
MEMORY = _number("EMULATED_MEMORY", 4 << 30)
