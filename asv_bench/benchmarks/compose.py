"""What is put together: a chain of pieces around a rule, and an array in place of a learning rate."""

import functools

from gpuopt.rules import Adam

from .common import CHAIN, EXECUTORS, TURNS, best_of, block, measure, need, problem, waited

SHAPES = ["1 x 1,000,000", "300 x 1,000"]


class Chain:
    """A step of clipping by the norm of all arrays, weight decay, Adam, bounds and an average: one array, and many."""

    params = (EXECUTORS, SHAPES)
    param_names = ("executor", "shape")

    def setup(self, executor, shape):
        need(executor)
        count, size = (int(number.replace(",", "")) for number in shape.split(" x "))
        self.step, self.wait, _ = problem(CHAIN, executor, size, count=count)

    def track_chain(self, executor, shape):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, TURNS, self.wait, block(step, self.wait, 0.01))["step"])

    track_chain.unit = "µs"
    track_chain.pretty_name = "Time of a step of a chain"
    track_chain.version = "1"


class ArrayRate:
    """A step of Adam with a learning rate for every element over one with a number, in turns, on 16,000,000 elements."""

    params = (EXECUTORS,)
    param_names = ("executor",)
    size = 16_000_000

    def setup(self, executor):
        need(executor)
        self.number, self.wait, _ = problem("Adam", executor, self.size)
        self.array = _array_rate(executor, self.size)

    def track_array_rate(self, executor):
        steps = {"number": self.number, "array": self.array}
        found = measure.in_turns(steps, TURNS, self.wait, block(self.number, self.wait, 0.01))
        best = {name: best_of(values) for name, values in found.items()}
        return best["array"] / best["number"]

    track_array_rate.unit = "times a number's"
    track_array_rate.pretty_name = "Adam's time with an array for the learning rate"
    track_array_rate.version = "1"


@functools.cache
def _array_rate(executor, size):
    """The step of Adam with an array for `lr`, on fresh arrays; made once, though asv sets up before every call."""
    xp = measure.module_of(executor)
    rates = [xp.full(size, 1e-3, "float32")]
    try:
        opt = measure.optimizer(Adam(), measure.make_arrays(xp, size), executor, hyper={"lr": rates})
    except TypeError as error:
        raise NotImplementedError("an array for a number is newer than this commit") from error
    return functools.partial(opt.step, measure.make_arrays(xp, size, seed=1))
