"""Steps that update some rows of an array: they cost what these rows cost."""

import functools
import itertools

import numpy as np

from gpuopt.rules import Adam

from .common import EXECUTORS, best_of, block, go, measure, need, waited

ROWS, EVERY = 64, [1_000, 100_000]
BATCHES = 50


class Rows:
    """The time of a step of Adam on 64 rows of two numbers each, others every time, of so many."""

    params = (EVERY, EXECUTORS)
    param_names = ("rows", "executor")

    def setup(self, rows, executor):
        need(executor)
        if not hasattr(go, "rows"):
            raise NotImplementedError("gpuopt.rows is newer than this commit")
        xp, rng = measure.module_of(executor), np.random.default_rng(0)
        self.wait = measure.waiting(xp)
        opt = measure.optimizer(Adam(), xp.zeros((rows, 2)), executor, rows="*")
        grads = xp.ones((ROWS, 2))
        batches = [go.rows(rng.choice(rows, ROWS, replace=False), grads) for _ in range(BATCHES)]
        for batch in batches:
            opt.step(batch)
        self.step = functools.partial(_next, opt, itertools.cycle(batches))

    def track_rows(self, rows, executor):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, 15, self.wait, block(step, self.wait))["step"], 5)

    track_rows.unit = "µs"
    track_rows.pretty_name = "Time of a step of Adam on 64 rows"
    track_rows.version = "1"


def _next(opt, batches):
    opt.step(next(batches))
