"""Arrays of other kinds than float32 without gaps, and limits for norms: beside that, in turns in one process."""

import importlib.util
import re
import sys
from unittest import mock

from gpuopt.rules import Adam

from .common import EXECUTORS, RULES, go, measure, module, named, need, over, problem, rule_called

SIZE = 2_000_000
KINDS = {
    "complex64": ("complex64", False, 2),
    "float16": ("float16", False, 1),
    "bfloat16": ("bfloat16", False, 1),
    "every second element": ("float32", True, 1),
}
"""Of each its dtype, whether it has gaps, and how many numbers of float32 an element is measured beside."""


def _arrays(executor, kind, seed):
    dtype, strided, _ = KINDS[kind]
    if dtype == "bfloat16" and importlib.util.find_spec("ml_dtypes") is None:
        raise NotImplementedError("ml_dtypes is not installed")
    if not hasattr(measure, "copied"):
        raise NotImplementedError("arrays of all kinds are measured by newer commits alone")
    return measure.make_arrays(measure.module_of(executor), SIZE, 1, named(dtype), seed, strided)


class Kind:
    """A step of Adam on 2,000,000 elements of a kind over one on as many bytes of float32; of 16 bits and gaps, elements."""

    params = (list(KINDS), EXECUTORS)
    param_names = ("kind", "executor")

    def setup(self, kind, executor):
        need(executor)
        params, self.grads = (_arrays(executor, kind, seed) for seed in (0, 1))
        self.opt = measure.optimizer(Adam(), params, executor)
        self.plain, self.wait, _ = problem("Adam", executor, SIZE * KINDS[kind][2])

    def step(self):
        self.opt.step(self.grads)

    def track_over_float32(self, kind, executor):
        return over(self.step, self.plain, self.wait)

    track_over_float32.unit = "times float32"
    track_over_float32.pretty_name = "Adam's time on other arrays than float32"
    track_over_float32.version = "1"


class Copies:
    """How often a step of Adam on 2,000,000 elements of a kind copies an element into scratch or back: exact."""

    params = (list(KINDS), ["numpy", "numba"])
    param_names = ("kind", "executor")

    def setup(self, kind, executor):
        need(executor)
        params, self.grads = (_arrays(executor, kind, seed) for seed in (0, 1))
        self.opt = measure.optimizer(Adam(), params, executor)

    def track_copies(self, kind, executor):
        tile, found = module("executors.cpu.work").ArrayTile, []
        self.opt.step(self.grads)
        with (
            mock.patch.object(tile, "load", _noted(tile.load, found)),
            mock.patch.object(tile, "store", _noted(tile.store, found)),
        ):
            self.opt.step(self.grads)
        return sum(found) / SIZE

    track_copies.unit = "copies of an element"
    track_copies.pretty_name = "Copies into scratch and back of a step of Adam"
    track_copies.version = "1"


def _noted(copy, found):
    def noted(tile, *arguments):
        found.append(tile.size)
        return copy(tile, *arguments)

    return noted


class Limited:
    """A step of Adam on 300 arrays of 1,000 elements behind a limit for the norm of each, over one without."""

    params = (["clip_norm", "clip_global_norm"], EXECUTORS)
    param_names = ("piece", "executor")

    def setup(self, piece, executor):
        need(executor)
        if not hasattr(go, piece):
            raise NotImplementedError(f"{piece} is newer than this commit")
        xp = measure.module_of(executor)
        self.opt = measure.optimizer(go.chain(getattr(go, piece)(1.0), Adam()), measure.make_arrays(xp, 1_000, 300), executor)
        self.grads = measure.make_arrays(xp, 1_000, 300, seed=1)
        self.plain, self.wait, _ = problem("Adam", executor, 1_000, count=300)

    def step(self):
        self.opt.step(self.grads)

    def track_over_adam(self, piece, executor):
        return over(self.step, self.plain, self.wait)

    track_over_adam.unit = "times Adam"
    track_over_adam.pretty_name = "Time of a limit for norms of 300 arrays"
    track_over_adam.version = "1"


class Threads:
    """How many of four threads a step of Adam in float32 uses: exact."""

    params = ([100_000, 300_000, 1_000_000, 4_000_000], ["numpy", "numba"])
    param_names = ("size", "executor")

    def setup(self, size, executor):
        need(executor)
        with mock.patch.dict("os.environ", GPUOPT_NUM_THREADS="4"):
            params = measure.make_arrays(measure.module_of(executor), size)
            self.opt = measure.optimizer(Adam(), params, executor)
        self.grads = [p.copy() for p in params]

    def track_threads(self, size, executor):
        used = [1]
        with mock.patch.object(module("executors.cpu.pool", "pool"), "run", lambda task, count, threads: used.append(threads)):
            handover = sys.modules.get("gpuopt.executors.cpu.handover")
            if handover is None:
                self.opt.step(self.grads)
            else:
                with mock.patch.object(handover, "run", lambda rows, threads: used.append(threads)):
                    self.opt.step(self.grads)
        return max(used)

    track_threads.unit = "threads"
    track_threads.pretty_name = "Threads of four that a step uses"
    track_threads.version = "1"


class Passes:
    """How often NumPy goes through the arrays of a rule's step, in float32: exact."""

    params = (RULES,)
    param_names = ("rule",)

    def track_passes(self, rule):
        trace, tile_code = module("tracing.trace").trace, module("codegen.numpy").tile_code
        lines = tile_code(trace(rule_called(rule)).update).source.splitlines()
        return sum(bool(re.match(r" +\w+\(", line)) for line in lines)

    track_passes.unit = "calls"
    track_passes.pretty_name = "NumPy's calls in a step"
    track_passes.version = "1"
