"""The memory of the emulated devices, and pinned memory of the host."""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import settings
from .kernels import device_library
from .streams import (
    current_device,
    default_stream,
    drain,
    drain_all,
    log,
    put,
    queue,
    refuse,
)

OUT_OF_MEMORY, TO_DEVICE, TO_HOST = 2, 1, 2


@dataclass
class Allocation:
    """Memory of a device: in which order it was taken, and whether it still is."""

    number: int
    size: int
    device: int
    freed: bool = False


_limit = settings.MEMORY
_allocations: dict[int, Allocation] = {}
_addresses: list[int] = []  # in order, as no address is given twice
_used = [0] * settings.DEVICES
_pinned: dict[int, Any] = {}
_pinned_addresses: list[int] = []  # in order


@contextlib.contextmanager
def limited_to(size: int) -> Iterator[None]:
    """Meanwhile the current device has so many bytes beyond those that are in use."""
    global _limit
    before, _limit = _limit, _used[current_device()] + size
    try:
        yield
    finally:
        _limit = before


def malloc(size: int) -> int:
    log.append(("malloc", size))
    device = current_device()
    if _used[device] + size > _limit:
        refuse(OUT_OF_MEMORY)
    address: int = device_library().emulated_malloc(size)
    _allocations[address] = Allocation(len(_allocations), size, device)
    _addresses.append(address)
    _used[device] += size
    return address


def free(address: int) -> None:
    if address:
        log.append(("free", address))
        drain_all()  # as cudaFree waits for the device
        found = _allocations[address]
        found.freed = True
        _used[found.device] -= found.size
        device_library().emulated_free(address, found.size)


def holds(address: int, size: int, device: int) -> bool:
    """Whether so many bytes from an address on are one allocation's, of that device."""
    before = bisect.bisect_right(_addresses, address)
    start = _addresses[before - 1] if before else 0
    found = _allocations.get(start)
    return found is not None and found.device == device and not found.freed and address + size <= start + found.size


def memory_info() -> tuple[int, int]:
    return _limit - _used[current_device()], _limit


def explain(error: str) -> str:
    """A fault, with the array that an address in it belongs to."""
    return re.sub(r"at (0x[0-9a-f]+|\(nil\))", lambda match: _place(match[1]), error)


def _place(written: str) -> str:
    address = 0 if written == "(nil)" else int(written, 16)
    before = bisect.bisect_right(_addresses, address)
    if not before:
        return f"at {address:#x}, which is no array's"
    start = _addresses[before - 1]
    found, offset = _allocations[start], address - start
    what = f"array {found.number} ({found.size} bytes{', freed' if found.freed else ''})"
    return f"at byte {offset} of {what}" if offset < found.size else f"{offset - found.size} bytes past the end of {what}"


def alloc_pinned(size: int, _flags: int) -> int:
    log.append(("pinned", size))
    raw = ctypes.create_string_buffer(size + 512)
    address = ctypes.addressof(raw) + -ctypes.addressof(raw) % 512
    _pinned[address] = raw
    bisect.insort(_pinned_addresses, address)
    return address


def free_pinned(address: int) -> None:
    if address:
        drain_all()
        del _pinned[address]
        _pinned_addresses.remove(address)


def is_pinned(address: int) -> bool:
    before = bisect.bisect_right(_pinned_addresses, address)
    if not before:
        return False
    raw = _pinned[_pinned_addresses[before - 1]]
    return address < ctypes.addressof(raw) + len(raw)


def _copy(to: int, source: int, size: int) -> None:
    ctypes.memmove(to, source, size)
    device_library().emulated_written(to, size)


def _fill(to: int, value: int, size: int) -> None:
    ctypes.memset(to, value, size)
    device_library().emulated_written(to, size)


def memcpy_async(to: int, source: int, size: int, kind: int, stream: int) -> None:
    """A copy reads pinned memory when the stream comes to it, and other memory of the host at once."""
    capturing = queue(stream).capture is not None
    if kind == TO_DEVICE and not capturing and not is_pinned(source):
        staged = ctypes.create_string_buffer(ctypes.string_at(source, size), size)
        put(stream, lambda: _copy(to, ctypes.addressof(staged), size), "copy", to, size, kind)
        return
    put(stream, lambda: _copy(to, source, size), "copy", to, size, kind)
    if kind == TO_HOST and not capturing and not is_pinned(to):
        drain(queue(stream), queue(stream).made)


def memcpy(to: int, source: int, size: int, kind: int) -> None:
    put(0, lambda: _copy(to, source, size), "copy", to, size, kind)
    drain(default_stream(), default_stream().made)


def memcpy_peer_async(to: int, _to_device: int, source: int, _device: int, size: int, stream: int) -> None:
    put(stream, lambda: _copy(to, source, size), "copy", to, size, 3)


def memset_async(to: int, value: int, size: int, stream: int) -> None:
    put(stream, lambda: _fill(to, value, size), "fill", to, size)


def memset(to: int, value: int, size: int) -> None:
    memset_async(to, value, size, 0)
