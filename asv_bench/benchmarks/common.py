"""What all benchmarks share: parameter lists, what is n/a here, and a quiet process."""

import functools
import importlib.util
import os
import statistics
import sys
from pathlib import Path

import numpy as np

import gpuopt as go
from gpuopt.bench import measure
from gpuopt.rules import rules


def module(*names):
    """The first of the modules `gpuopt.NAME` that this commit has: they moved, and all commits are measured."""
    for name in names:
        try:
            return importlib.import_module(f"gpuopt.{name}")
        except ModuleNotFoundError as error:
            if not error.name or not f"gpuopt.{name}.".startswith(f"{error.name}."):
                raise
    raise NotImplementedError(f"this commit has none of {', '.join(names)}")


named = module("arrays.dtypes", "dtypes").named
leaves = module("arrays.tree", "tree").leaves

RULES = ["GradientDescent", "Momentum", "RMSProp", "Adam", "AdamW"]  # on every machine the same
EXECUTORS = ["numpy", "numba", "cupy"]
SIZES = [1_000, 1_000_000, 16_000_000]
DTYPES = ["float32", "float64"]
TURNS = max(3, int(os.environ.get("GPUOPT_BENCH_TURNS", "9")))  # three are enough to see that one works
CHAIN, SCALED = "chain", "a chain with LossScale"
REQUIRE_GPU = "GPUOPT_BENCH_REQUIRE_GPU"

measure.pin_allocator()


def need(executor):
    """Raise NotImplementedError, which is n/a, where an executor does not work; RuntimeError where a GPU must be here."""
    reason = measure.why_not(executor)
    if reason is None:
        return
    if executor == "cupy" and os.environ.get(REQUIRE_GPU) == "1":
        raise RuntimeError(f"{REQUIRE_GPU}=1, but {reason}")
    raise NotImplementedError(reason)


def rule_called(name):
    """A rule with its defaults, or a chain; NotImplementedError where the commit has none of that name."""
    make = {**rules(), CHAIN: hasattr(go, "chain") and _chain, SCALED: hasattr(go, "LossScale") and _scaled}.get(name)
    if not make:
        raise NotImplementedError(f"{name} is newer than this commit")
    return make()


def of_tests(name):
    """A module of the tests beside this suite, whatever commit is measured."""
    if "tests" not in sys.modules:
        spec = importlib.util.spec_from_file_location("tests", Path(__file__).parents[2] / "tests" / "__init__.py")
        sys.modules["tests"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["tests"])
    return importlib.import_module(f"tests.{name}")


def emulated_device():
    """The GPU made of software, to be plugged in; NotImplementedError where there can be none.

    It counts what a step asks of a GPU. It says nothing of a GPU's time.
    """
    if reason := of_tests("support.cuda.hostbuild").available():
        raise NotImplementedError(reason)
    try:
        device = of_tests("support.emulated_gpu.device")
        device.load()
    except ImportError as error:  # CuPy uses another device in this process, or cannot be given this one
        raise NotImplementedError(str(error)) from error
    return device


@functools.cache
def problem(rule, executor, size, dtype="float32", count=1, options=()):
    """The step of a rule on fresh arrays, its wait, and its optimizer; made once, though asv sets up before every call.

    `options` are those of init that are True.
    """
    made = rule_called(rule)
    if dtype == "bfloat16" and importlib.util.find_spec("ml_dtypes") is None:
        raise NotImplementedError("ml_dtypes is not installed")
    xp = measure.module_of(executor)
    params = measure.make_arrays(xp, size, count, named(dtype))
    grads = measure.make_arrays(xp, size, count, named(dtype), seed=1)
    try:
        opt = measure.optimizer(made, params, executor, **dict.fromkeys(options, True))
    except TypeError as error:
        if options:
            raise NotImplementedError(f"{' and '.join(options)} is newer than this commit") from error
        raise
    return functools.partial(opt.step, grads), measure.waiting(xp), opt


def _chain():
    return go.chain(go.clip_global_norm(1.0), go.weight_decay(1e-4), go.Adam(1e-3), go.bounds(-1.0, 1.0), go.average(0.999))


def _scaled():
    return go.chain(go.LossScale(), go.Adam())


def waited(step, wait):
    """A step that ends when the device has done it."""

    def both():
        step()
        wait()

    return both


def block(step, wait, seconds=0.02):
    """Calls to a block of about `seconds`, after enough calls to warm up."""
    for _ in range(3):
        step()
    return min(5_000, measure.calls_lasting(step, wait, seconds))


def best_of(values, rounds=3):
    """The least of a few medians; what disturbs a step only makes it longer."""
    part = max(1, len(values) // rounds)
    return min(statistics.median(values[i : i + part]) for i in range(0, part * rounds, part))


def over(step, plain, wait):
    """The time of a step over that of a plain one, in turns."""
    steps = {"step": step, "plain": plain}
    calls = {name: block(each, wait, 0.01) for name, each in steps.items()}
    found = measure.in_turns(steps, TURNS, wait, calls)
    return best_of(found["step"]) / best_of(found["plain"])


def streams(opt, executor):
    """The ways of streaming as many bytes as a step moves, as float32 that are each read and written."""
    return measure.stream_steps(measure.module_of(executor), max(1, measure.bytes_a_step(opt) // 8))


def over_floor(step, streams, wait):
    """The time of a step over that of the fastest of the streams, in turns: the floor of `gpuopt bench`."""
    steps = {"step": step, **streams}
    calls = {name: block(each, wait, 0.01) for name, each in steps.items()}
    best = {name: best_of(values) for name, values in measure.in_turns(steps, TURNS, wait, calls).items()}
    return best["step"] / min(best[name] for name in streams)


def digits(count, dtype=np.float32, seed=0):
    """Images of 64 pixels in [0, 1] and their targets, made up: ten prototypes and noise, so that no data set is needed."""
    rng = np.random.default_rng(seed)
    prototypes, labels = rng.random((10, 64)), rng.integers(10, size=count)
    images = np.clip(prototypes[labels] + 0.25 * rng.standard_normal((count, 64)), 0, 1)
    return images.astype(dtype), np.eye(10, dtype=dtype)[labels]
