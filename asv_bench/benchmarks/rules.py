"""A step of every rule: over the memory's floor, its latency on a small array, and many small arrays at once."""

from .common import (
    DTYPES,
    EXECUTORS,
    RULES,
    SIZES,
    TURNS,
    best_of,
    block,
    measure,
    need,
    over_floor,
    problem,
    streams,
    waited,
)


class Floor:
    """The time of a step over the time of streaming its bytes, measured in the same process: 1 is the floor."""

    params = (RULES, EXECUTORS, SIZES, DTYPES)
    param_names = ("rule", "executor", "size", "dtype")

    def setup(self, rule, executor, size, dtype):
        if dtype == "float64" and size != 1_000_000:
            raise NotImplementedError("float64 is measured at 1,000,000 elements")
        need(executor)
        self.step, self.wait, opt = problem(rule, executor, size, dtype)
        self.streams = streams(opt, executor)

    def track_over_floor(self, rule, executor, size, dtype):
        return over_floor(self.step, self.streams, self.wait)

    track_over_floor.unit = "times the floor"
    track_over_floor.pretty_name = "A step's time over the memory's floor"
    track_over_floor.version = "2"  # before, the floor was scaled from a copy of the parameters


class Time:
    """The time of a step by size, as it is: where a GPU overtakes a CPU can be read from it."""

    params = (RULES, EXECUTORS, sorted({*SIZES, 10_000, 100_000}))
    param_names = ("rule", "executor", "size")

    def setup(self, rule, executor, size):
        need(executor)
        self.step, self.wait, _ = problem(rule, executor, size)

    def track_time(self, rule, executor, size):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, TURNS, self.wait, block(step, self.wait, 0.01))["step"])

    track_time.unit = "µs"
    track_time.pretty_name = "Time of a step, by size"
    track_time.version = "1"


class Latency:
    """The time of a step of one array of 100 elements: Python's calls, and on a GPU the launch; the device is waited for."""

    params = (RULES, EXECUTORS)
    param_names = ("rule", "executor")

    def setup(self, rule, executor):
        need(executor)
        self.step, self.wait, _ = problem(rule, executor, 100)

    def track_latency(self, rule, executor):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, 15, self.wait, block(step, self.wait))["step"], 5)

    track_latency.unit = "µs"
    track_latency.pretty_name = "Time of a step of 100 elements"
    track_latency.version = "1"


class Many:
    """The time of a step of 300 arrays of 1,000 elements: what an executor makes of many small arrays."""

    params = (RULES, EXECUTORS)
    param_names = ("rule", "executor")

    def setup(self, rule, executor):
        need(executor)
        self.step, self.wait, _ = problem(rule, executor, 1_000, count=300)

    def track_many(self, rule, executor):
        return 1e6 * best_of(measure.in_turns({"step": self.step}, 15, self.wait, block(self.step, self.wait))["step"], 5)

    track_many.unit = "µs"
    track_many.pretty_name = "Time of a step of 300 arrays of 1,000 elements"
    track_many.version = "1"
