"""Training in the three ways of updating: stochastic, by mini-batches and by batches."""

import gpuopt
from gpuopt.demo.network import initial_params, loss_and_grad

from .common import EXECUTORS, digits, measure, need

BATCH_SIZES = {"stochastic": 1, "mini-batch": 32, "batch": None}
WAYS = ["stochastic", "mini-batch", "batch"]
EPOCHS = {"stochastic": 1, "mini-batch": 10, "batch": 60}


class Fit:
    """The time of an update of a 64-32-10 network with Adam: batch, forward and backward pass, step."""

    params = (WAYS, EXECUTORS)
    param_names = ("way", "executor")

    def setup(self, way, executor):
        need(executor)
        xp = measure.module_of(executor)
        self.data = tuple(map(xp.asarray, digits(1_024)))
        params = initial_params(0, xp)
        self.opt, self.wait = measure.optimizer(gpuopt.Adam(), params, executor), measure.waiting(xp)

    def track_update(self, way, executor):
        def train():
            gpuopt.fit(loss_and_grad, self.opt.params, self.data, self.opt, BATCH_SIZES[way], EPOCHS[way])

        train()
        before = self.opt.t
        seconds = min(measure.in_turns({"fit": train}, 5, self.wait)["fit"])
        return 1e6 * seconds / ((self.opt.t - before) / 6)  # a round warms up

    track_update.unit = "µs"
    track_update.pretty_name = "Time of an update in fit"
    track_update.version = "1"
