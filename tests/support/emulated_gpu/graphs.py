"""Captures of streams, and the graphs that are made of them."""

from __future__ import annotations

from .streams import INVALIDATED, LEGACY, UNJOINED, UNMATCHED, UNSUPPORTED, Capture, Thing, handles, log, put, queue, refuse

_graphs: dict[int, list[Thing]] = {}


def is_capturing(stream: int) -> int:
    return int(queue(stream).capture is not None)


def begin_capture(stream: int, _mode: int = 0) -> None:
    log.append(("begin", stream))
    q = queue(stream)
    if stream in LEGACY or q.capture is not None:
        refuse(UNSUPPORTED)
    q.capture = Capture(q)


def end_capture(stream: int) -> int:
    log.append(("end", stream))
    capture = queue(stream).capture
    if capture is None or capture.origin is not queue(stream):
        refuse(UNMATCHED)
    for q in (capture.origin, *capture.forked):
        q.capture = None
    if capture.broken:
        refuse(INVALIDATED)
    if any(capture.forked.values()):
        refuse(UNJOINED)
    return _new_graph(capture.nodes)


def _new_graph(nodes: list[Thing]) -> int:
    graph = next(handles)
    _graphs[graph] = nodes
    return graph


def instantiate(graph: int) -> int:
    return _new_graph(_graphs[graph])


def launch_graph(graph: int, stream: int) -> None:
    nodes = _graphs[graph]
    put(stream, lambda: [node() for node in nodes], "graph", len(nodes))


def destroy_graph(graph: int) -> None:
    _graphs.pop(graph)
