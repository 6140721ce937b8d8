"""What a step of CuPy arrays costs on the host, until the driver is called; no GPU is needed."""

import functools
import importlib
import itertools

from gpuopt.rules import Adam

from .common import best_of, block, emulated_device, measure

SETS = 10  # more than the executor keeps addresses of


def nothing():
    """There is no device to wait for."""


class Host:
    """Adam on float32 arrays of 1,000 elements, in CuPy's own host code, while the emulated device does nothing in no time.

    The gradients are the same objects in every step, new ones in the same memory, or others elsewhere.
    """

    params = ([1, 300], ["same", "new", "moved"])
    param_names = ("arrays", "gradients")

    def setup(self, arrays, gradients):
        emulated_device()

    def track_cupy_host_time(self, arrays, gradients):
        device = emulated_device()
        with device.plugged_in(), device.idle():
            cupy, sets = importlib.import_module("cupy"), SETS if gradients == "moved" else 1
            params, *made = (measure.make_arrays(cupy, 1_000, arrays, seed=seed) for seed in range(1 + sets))
            if gradients == "new":
                made = [[array[:] for array in made[0]] for _ in range(SETS)]
            step = functools.partial(_step, Adam().init(params), itertools.cycle(made))
            with device.answering_at_once():
                return 1e6 * best_of(measure.in_turns({"step": step}, 15, nothing, block(step, nothing, 0.01))["step"])

    track_cupy_host_time.unit = "µs"
    track_cupy_host_time.pretty_name = "Host time of a step of CuPy arrays"
    track_cupy_host_time.version = "2"  # 1 was without the launch


def _step(opt, sets):
    opt.step(next(sets))
