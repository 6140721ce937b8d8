"""What a step of CuPy arrays costs on the host before the device is even asked; no GPU is needed."""

import functools
import itertools

import numpy as np

from gpuopt.rules import Adam

from . import no_gpu
from .common import best_of, block, measure

SETS = 10  # more than the executor keeps addresses of


def nothing():
    """There is no device to wait for."""


class Host:
    """Adam on float32 arrays of 1,000 elements that are real CuPy arrays, while kernels and copies to the device do nothing.

    The gradients are the same objects in every step, or others elsewhere.
    """

    params = ([1, 300], ["same", "moved"])
    param_names = ("arrays", "gradients")

    def setup(self, arrays, gradients):
        if reason := no_gpu.why_not():
            raise NotImplementedError(reason)

    def track_cupy_host_time(self, arrays, gradients):
        made = [
            [no_gpu.to_device(a) for a in measure.make_arrays(np, 1_000, arrays, seed=seed)]
            for seed in range(1 + (SETS if gradients == "moved" else 1))
        ]
        with no_gpu.simulated():
            step = functools.partial(_step, Adam().init(made[0]), itertools.cycle(made[1:]))
            return 1e6 * best_of(measure.in_turns({"step": step}, 15, nothing, block(step, nothing, 0.01))["step"])

    track_cupy_host_time.unit = "µs"
    track_cupy_host_time.pretty_name = "Host time of a step of CuPy arrays, without the launch"
    track_cupy_host_time.version = "1"


def _step(opt, sets):
    opt.step(next(sets))
