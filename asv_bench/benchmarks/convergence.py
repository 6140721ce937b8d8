"""How many updates a rule needs: exact integers, which change only if what an update computes changes."""

import itertools

import numpy as np

from gpuopt.demo.network import initial_params, loss_and_grad
from gpuopt.rules import rules

from .common import RULES, digits, measure

PROBLEMS = ["digits", "quadratic"]
# Learning rates with which each rule converges, not the best ones.
RATES = {
    "digits": {"GradientDescent": 0.5, "Momentum": 0.5, "RMSProp": 0.003, "Adam": 0.01, "AdamW": 0.01},
    "quadratic": {"GradientDescent": 1.0, "Momentum": 5.0, "RMSProp": 0.002, "Adam": 0.01, "AdamW": 0.01},
}
GOALS = {"digits": 0.01, "quadratic": 1e-4}
LIMIT = 10_000


def _quadratic(params):
    """Half the sum of h x^2, with 100 curvatures h from 0.001 to 1."""
    h = np.logspace(-3, 0, 100)
    return 0.5 * float((h * params["x"] ** 2).sum()), {"x": h * params["x"]}


class Convergence:
    """Updates until the loss is at the goal: all of 1,000 made-up digits and a 64-32-10 network, or a quadratic."""

    params = (RULES, PROBLEMS)
    param_names = ("rule", "problem")

    def setup(self, rule, problem):
        if rule not in rules() or rule not in RATES[problem]:
            raise NotImplementedError(f"no learning rate was chosen for {rule}, or it is newer than this commit")
        if problem == "digits":
            images, targets = digits(1_000, np.float64)
            self.params, self.loss = initial_params(0, np, dtype=np.float64), lambda p: loss_and_grad(p, images, targets)
        else:
            self.params, self.loss = {"x": np.ones(100)}, _quadratic
        self.opt = measure.optimizer(rules()[rule](lr=RATES[problem][rule]), self.params, "numpy")

    def track_updates(self, rule, problem):
        for updates in itertools.count():
            loss, grads = self.loss(self.params)
            if loss <= GOALS[problem]:
                return updates
            if updates == LIMIT:
                raise RuntimeError(f"the loss is still {loss} after {updates} updates")
            self.opt.step(grads)
        raise AssertionError

    track_updates.unit = "updates"
    track_updates.pretty_name = "Updates to a given loss"
    track_updates.version = "1"
