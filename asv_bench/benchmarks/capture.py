"""Steps that a CUDA graph may hold: what keeping everything on the device costs, and what a replay saves."""

import functools

import gpuopt as go

from .common import best_of, block, measure, need, problem, waited

WAYS = ["eager", "capturable", "replay"]
ARRAYS = [1, 300]


class Capture:
    """The time of a step of Adam on arrays of 1,000 elements of a GPU, which is waited for."""

    params = (WAYS, ARRAYS, ["cupy"])
    param_names = ("way", "arrays", "executor")

    def setup(self, way, arrays, executor):
        need(executor)
        options = () if way == "eager" else ("capturable",)
        self.step, self.wait, _ = problem("Adam", executor, 1_000, count=arrays, options=options)
        if way == "replay":
            self.step = _replay(arrays, executor)

    def track_capture(self, way, arrays, executor):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, 15, self.wait, block(step, self.wait))["step"], 5)

    track_capture.unit = "µs"
    track_capture.pretty_name = "Time of a step, captured and not"
    track_capture.version = "1"


@functools.cache
def _replay(arrays, executor):
    """What replays a captured step; captured once, though asv sets up before every call."""
    if not hasattr(go, "graph"):
        raise NotImplementedError("gpuopt.graph is newer than this commit")
    step, _, opt = problem("Adam", executor, 1_000, count=arrays, options=("capturable",))
    loss = measure.module_of(executor).zeros((), "float32")  # there already: nothing but the step is captured
    return go.graph(lambda params: (loss, *step.args), opt)
