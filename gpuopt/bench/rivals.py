"""A step and its rivals: the hand-written expression, PyTorch, optax, and streaming of memory."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import named
from gpuopt.bench.by_hand import CHAIN, CLIP, naive
from gpuopt.bench.libraries import optax_step, torch_step
from gpuopt.bench.measure import (
    Step,
    bytes_a_step,
    calls_lasting,
    copied,
    in_turns,
    make_arrays,
    medians,
    module_of,
    optimizer,
    stream_steps,
    waiting,
)
from gpuopt.bench.subjects import subjects

__all__ = ["GRAPH", "KINDS", "RIVALS", "Case", "compare", "kinds_for", "why_no_graph"]

RIVALS = ("by hand", "torch fused", "torch foreach", "optax jit")
"""The rivals by name, in the order of the columns."""
KINDS = ("hand", "torch", "optax")
"""What the rivals are of: a word of each name."""
GRAPH = "cupy graph"
"""The name of the replay of a captured step among the executors."""
_BLOCK, _MOST = 0.02, 100  # seconds that a block of calls lasts, and the most calls in it


@dataclasses.dataclass(frozen=True)
class Case:
    """One rule on some arrays: what was measured.

    Attributes
    ----------
    rule : str
    count, size : int
        Arrays, and elements of each.
    dtype : str
    moved : int
        Bytes that a step must move.
    ours, rivals : dict of float
        Seconds a step, by executor and by rival; a rival that is not installed, or has no such
        rule, is missing.
    streams : dict of float
        Seconds that streaming as many bytes takes, by a copy and by scaling in place.
    """

    rule: str
    count: int
    size: int
    dtype: str
    moved: int
    ours: dict[str, float]
    rivals: dict[str, float]
    streams: dict[str, float]

    @property
    def floor(self) -> float:
        """Seconds that streaming as many bytes takes in the faster way."""
        return min(self.streams.values())


def compare(
    name: str,
    executors: list[str],
    size: int,
    count: int,
    dtype: str,
    rounds: int,
    options: Sequence[str] = (),
    graph: bool = False,
    kinds: Collection[str] = KINDS,
    strided: bool = False,
) -> Case:
    """Measure `name` on `count` arrays of `size` elements: executors, of one array module, and
    rivals take turns.

    A block of calls lasts some 20 ms, but has at most 100 calls.

    Parameters
    ----------
    options : sequence of str
        Those of `init` that are to be True.
    graph : bool
        Whether the replay of a captured step takes part.
    kinds : collection of str
        Which rivals take part, by their `KINDS`.
    strided : bool
        Whether arrays and gradients are every second element of others.
    """
    xp, kind = module_of(executors[0]), named(dtype)
    arrays = make_arrays(xp, size, count, kind, strided=strided)
    gradients = make_arrays(xp, size, count, kind, seed=1, strided=strided)
    steps, moved = _ours(
        name, [*executors, *([GRAPH] if graph else [])], xp, arrays, gradients, options
    )
    own, waits = list(steps), [waiting(xp)]
    kinds = kinds_for(xp, count, kinds)
    steps |= _others(name, xp, arrays, gradients, options, waits, kinds)
    words = max(1, moved // 8)  # of float32, each read and written: as many bytes as a step moves
    streams = stream_steps(xp, words)
    steps |= streams

    def wait() -> None:
        for each in waits:
            each()

    calls = {key: min(calls_lasting(step, wait, _BLOCK), _MOST) for key, step in steps.items()}
    found = medians(in_turns(steps, rounds, wait, calls))
    return Case(
        *(name, count, size, dtype, moved),
        ours={executor: found[executor] for executor in own},
        rivals={rival: found[rival] for rival in RIVALS if rival in found},
        streams={how: found[how] * moved / (8 * words) for how in streams},
    )


def kinds_for(xp: Any, count: int, kinds: Collection[str]) -> Collection[str]:
    """Those of `kinds` that take part: beside many arrays on a GPU, PyTorch alone.

    There an expression for each takes thousands of launches, and jit compiles hundreds of arrays
    for seconds.
    """
    return kinds if count == 1 or xp is np else [kind for kind in kinds if kind == "torch"]


def _ours(
    name: str,
    executors: list[str],
    xp: Any,
    arrays: list[Any],
    gradients: list[Any],
    options: Sequence[str],
) -> tuple[dict[str, Step], int]:
    """A step on each executor, or the replay of one, and the bytes that a step must move."""
    steps: dict[str, Step] = {}
    moved = 0
    for executor in executors:
        params, graph = list(map(copied, arrays)), executor == GRAPH
        runs = executors[0] if graph else executor
        opt = optimizer(subjects()[name](), params, runs, None, **dict.fromkeys(options, True))
        again = gradients if name in (CHAIN, CLIP) else ()  # read for their norm
        moved = bytes_a_step(opt) + sum(int(g.nbytes) for g in again)
        steps[executor] = _replay(opt, gradients, xp) if graph else _bound(opt, gradients)
    return steps, moved


def _bound(opt: Any, gradients: list[Any]) -> Step:
    return lambda: opt.step(gradients)


def why_no_graph() -> str | None:
    """None if a step can be captured, as far as this version goes, else the reason why not."""
    return (
        None
        if hasattr(sys.modules["gpuopt"], "graph")
        else "this version of gpuopt has no gpuopt.graph"
    )


def _replay(opt: Any, gradients: list[Any], xp: Any) -> Step:
    """The replay of a captured step; loss and gradients are there, so that nothing but the step is
    captured.
    """
    loss = xp.zeros((), np.float32)
    step: Step = sys.modules["gpuopt"].graph(lambda params: (loss, gradients), opt)
    return step


def _others(
    name: str,
    xp: Any,
    arrays: list[Any],
    gradients: list[Any],
    options: Sequence[str],
    waits: list[Step],
    kinds: Collection[str],
) -> dict[str, Step]:
    """The rivals of these kinds that have such a rule and work here; functions that wait for them
    are added to `waits`.
    """

    def optax() -> Step | None:
        step, wait = optax_step(name, arrays, gradients, options) or (None, None)
        waits.extend([wait] if wait else [])
        return step

    gpu = xp is not np
    makers: dict[str, Callable[[], Step | None]] = {
        "by hand": lambda: naive(name, xp, arrays, gradients, options),
        "torch fused": lambda: torch_step(name, arrays, gradients, gpu, "fused", options),
        "torch foreach": lambda: torch_step(name, arrays, gradients, gpu, "foreach", options),
        "optax jit": optax,
    }
    found = {}
    for rival, make in makers.items():
        if not set(rival.split()).intersection(kinds):
            continue
        try:
            if (step := make()) is not None:
                step()
                found[rival] = step
        except Exception as error:
            # A library that is broken here, or lacks the dtype: the others are still of use.
            reason = " ".join(str(error).split())[:200]
            print(
                f"gpuopt bench: {name} is measured without {rival}: {type(error).__name__}: "
                f"{reason}",
                file=sys.stderr,
            )
    return found
