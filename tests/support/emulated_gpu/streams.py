"""Streams and events: work in order, which waits for other work. It is done at once, or as late as CUDA allows."""

from __future__ import annotations

import collections
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import cupy_backends.cuda.api.driver as driver
import cupy_backends.cuda.api.runtime as runtime

from . import settings

NOT_READY, UNSUPPORTED, INVALIDATED, UNMATCHED, UNJOINED, ISOLATION, IMPLICIT, CAPTURED_EVENT = (
    600,
    900,
    901,
    903,
    904,
    905,
    906,
    907,
)
LEGACY = (0, 1, 2)
ASKED_IN_VAIN = 100
NOT_INITIALISED = 3
Thing = Callable[[], object]

log: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=100_000)
"""What was asked of the device, in order: each what it was ("launch", "copy", "malloc" …) and what it was done to."""
_forked = list[bool]()
"""Not empty in a process that was forked from one that used the device: CUDA refuses everything there."""
os.register_at_fork(after_in_child=lambda: _forked.append(True))
handles = itertools.count(0x1000, 0x10)


def refuse(status: int) -> NoReturn:
    """Raise what CuPy raises where CUDA gives that status."""
    raise runtime.CUDARuntimeError(status)


class CaptureInvalidated(driver.CUDADriverError):  # type: ignore[misc]  # untyped
    """What CuPy raises for all that comes after something illegal in a capture; it asks the driver for its text."""

    def __init__(self) -> None:
        text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: operation failed due to a previous error during capture"
        RuntimeError.__init__(self, text)
        self.status = INVALIDATED


class Capture:
    """What is captured, by one stream and those that wait for it meanwhile."""

    def __init__(self, origin: Queue) -> None:
        self.origin, self.nodes, self.broken = origin, list[Thing](), False
        self.forked: dict[Queue, int] = {}
        """Of each other stream, how many of its nodes the others do not wait for."""


class Queue:
    """A stream: so much of its work is `done`, of all that was `made`."""

    def __init__(self, device: int, blocking: bool) -> None:
        self.device, self.blocking, self.done, self.made = device, blocking, 0, 0
        self.items: collections.deque[tuple[list[tuple[Queue, int]], Thing | None]] = collections.deque()
        self.capture: Capture | None = None


@dataclass
class Event:
    """What was in a stream when it was recorded; in a capture it is one of its points."""

    queue: Queue | None = None
    position: int = 0
    capture: Capture | None = None
    asked: int = field(default=0, repr=False)


_current = threading.local()
_defaults = [Queue(device, True) for device in range(settings.DEVICES)]
_queues: dict[int, Queue] = {}
_events: dict[int, Event] = collections.defaultdict(Event)


def current_device() -> int:
    if _forked:
        refuse(NOT_INITIALISED)
    return getattr(_current, "device", 0)


def set_device(device: int) -> None:
    if _forked:
        refuse(NOT_INITIALISED)
    if not 0 <= device < settings.DEVICES:
        refuse(101)
    _current.device = device


def default_stream() -> Queue:
    return _defaults[current_device()]


def queue(stream: int) -> Queue:
    return default_stream() if stream in LEGACY else _queues[stream]


def _others(q: Queue) -> list[Queue]:
    """Those that a stream waits for: the default one for all blocking ones of the device, and they for it."""
    default = _defaults[q.device]
    if q is not default:
        return [default] if q.blocking else []
    return [other for other in _queues.values() if other.blocking and other.device == q.device]


def put(stream: int, work: Thing | None, *what: Any) -> None:
    """Let a stream do some work when it comes to it; in a capture, keep it."""
    log.append((*what, stream))
    q = queue(stream)
    if q.capture is not None:
        if q.capture.broken:
            raise CaptureInvalidated()
        if q.capture.forked.get(q) is not None:
            q.capture.forked[q] += 1
        if work is not None:
            q.capture.nodes.append(work)
        return
    others = _others(q)
    for other in others:
        if other.capture is not None:  # the capture would depend on what is outside of it
            other.capture.broken = True
            refuse(IMPLICIT)
    _append(q, [(other, other.made) for other in others], work)


def _append(q: Queue, waits: list[tuple[Queue, int]], work: Thing | None) -> None:
    q.items.append((waits, work))
    q.made += 1
    if not settings.LATE:
        drain(q, q.made)


def drain(q: Queue, until: int) -> None:
    """Do a stream's work up to there, and before it the work that it waits for."""
    while q.done < until and q.items:
        waits, work = q.items.popleft()
        q.done += 1
        for other, position in waits:
            drain(other, position)
        if work is not None:
            work()


def drain_all() -> None:
    for q in (*_defaults, *_queues.values()):
        drain(q, q.made)


def create_stream(blocking: bool) -> int:
    stream = next(handles)
    _queues[stream] = Queue(current_device(), blocking)
    return stream


def destroy_stream(stream: int) -> None:
    q = _queues[stream]
    drain(q, q.made)
    del _queues[stream]


def synchronize(stream: int) -> None:
    log.append(("synchronize", stream))
    q = queue(stream)
    if q.capture is not None:
        q.capture.broken = True
        refuse(UNSUPPORTED)
    for other in _others(q) if q is default_stream() else ():
        drain(other, other.made)
    drain(q, q.made)


def synchronize_device() -> None:
    log.append(("synchronize",))
    if captures := [q.capture for q in _queues.values() if q.capture is not None]:
        captures[0].broken = True
        refuse(UNSUPPORTED)
    drain_all()


def query_stream(stream: int) -> int:
    q = queue(stream)
    if q.capture is not None:
        q.capture.broken = True
        return UNSUPPORTED
    return 0 if q.done >= q.made else NOT_READY


# ---- Events


def create_event(_flags: int = 0) -> int:
    return next(handles)


def destroy_event(event: int) -> None:
    _events.pop(event, None)


def record(event: int, stream: int) -> None:
    put(stream, None, "record", event)
    q = queue(stream)
    _events[event] = Event(q, q.capture.forked.get(q, 0) if q.capture else q.made, q.capture)


def wait_for_event(event: int) -> None:
    log.append(("wait", event))
    found = _events[event]
    if found.capture is not None:
        refuse(CAPTURED_EVENT)
    if found.queue is not None:
        drain(found.queue, found.position)


def query_event(event: int) -> int:
    found = _events[event]
    if found.capture is not None:
        return CAPTURED_EVENT
    if found.queue is None or found.queue.done >= found.position:
        return 0
    found.asked += 1
    if found.asked % ASKED_IN_VAIN == 0:  # so that who asks again and again comes to an end
        drain(found.queue, found.queue.done + 1)
    return NOT_READY


def elapsed(start: int, end: int) -> float:
    """A time that says nothing: work takes what it takes on the CPU, and not when it was launched."""
    for event in (start, end):
        if code := query_event(event):
            refuse(code)
    return 1.0


def stream_waits(stream: int, event: int) -> None:
    log.append(("order", event, stream))
    q, found = queue(stream), _events[event]
    if found.capture is not None:
        if q.capture is None:  # it joins the capture
            q.capture = found.capture
            q.capture.forked[q] = 0
        elif found.queue in q.capture.forked and q.capture.forked[found.queue] == found.position:
            q.capture.forked[found.queue] = 0
        return
    if q.capture is not None and found.queue is not None:
        q.capture.broken = True
        refuse(ISOLATION)
    if found.queue is not None:
        _append(q, [(found.queue, found.position)], None)
