"""Parameters of 16 bits: as they are, with float32 copies, rounded at random; and with a loss that is scaled."""

from .common import EXECUTORS, SCALED, TURNS, best_of, block, leaves, measure, need, over_floor, problem, streams, waited

WAYS = {"plain": (), "master": ("master",), "stochastic_rounding": ("stochastic_rounding",)}
SIZE = 4_000_000


class Precision:
    """A step of Adam on 4,000,000 elements of bfloat16 over streaming its bytes, in the same process: 1 is the floor."""

    params = (list(WAYS), EXECUTORS)
    param_names = ("way", "executor")
    size = SIZE

    def setup(self, way, executor):
        need(executor)
        self.step, self.wait, self.opt = problem("Adam", executor, self.size, "bfloat16", options=WAYS[way])
        self.streams = streams(self.opt, executor)

    def track_over_floor(self, way, executor):
        return over_floor(self.step, self.streams, self.wait)

    track_over_floor.unit = "times the floor"
    track_over_floor.pretty_name = "Adam's time on bfloat16 over the memory's floor"
    track_over_floor.version = "1"


class State:
    """The state of an element of bfloat16 under Adam, the float32 copy among it: exact."""

    params = (["plain", "master"], EXECUTORS)
    param_names = ("way", "executor")
    elements = 1_000

    def setup(self, way, executor):
        need(executor)
        *_, self.opt = problem("Adam", executor, self.elements, "bfloat16", options=WAYS[way])

    def track_state_bytes(self, way, executor):
        return sum(a.nbytes for tree in self.opt.state.values() for a in leaves(tree)) / self.elements

    track_state_bytes.unit = "bytes an element"
    track_state_bytes.pretty_name = "State of an element of bfloat16"
    track_state_bytes.version = "1"


class Scaled:
    """The time of a step of LossScale and Adam on 4,000,000 elements of float16 with float32 copies."""

    params = (EXECUTORS,)
    param_names = ("executor",)
    size = SIZE

    def setup(self, executor):
        need(executor)
        self.step, self.wait, _ = problem(SCALED, executor, self.size, "float16", options=WAYS["master"])

    def track_scaled(self, executor):
        step = waited(self.step, self.wait)
        return 1e6 * best_of(measure.in_turns({"step": step}, TURNS, self.wait, block(step, self.wait, 0.01))["step"])

    track_scaled.unit = "µs"
    track_scaled.pretty_name = "Time of a step with a scaled loss"
    track_scaled.version = "1"
