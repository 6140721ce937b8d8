"""How far the same thing, measured twice, differs here: what a smaller difference of two times can be trusted to mean."""

from .common import EXECUTORS, TURNS, best_of, block, measure, need, problem


class Noise:
    """The difference of two identical steps (Adam, 1,000,000 elements) that are measured as any other."""

    params = (EXECUTORS,)
    param_names = ("executor",)

    def setup(self, executor):
        need(executor)
        self.step, self.wait, _ = problem("Adam", executor, 1_000_000)

    def track_noise(self, executor):
        calls = block(self.step, self.wait)
        found = measure.in_turns({"one": self.step, "other": self.step}, TURNS, self.wait, calls)
        one, other = (best_of(values) for values in found.values())
        return 100 * abs(one - other) / min(one, other)

    track_noise.unit = "%"
    track_noise.pretty_name = "Difference of the same measured twice"
    track_noise.version = "1"
