"""Run the scientific examples, and the same updates written by hand: prints the table of docs/science.md, draws its picture.

    python tools/science.py [docs/science.png]
    python -m tests.support.emulated_gpu tools/science.py    # kernels a step, instead: counted where CuPy launches them

Updates by hand take the examples' own gradients. Steps are timed in turns, without the gradients; the fastest counts. On a GPU
it is a mean of 20 steps, after which the host waits.
"""

from __future__ import annotations

import copy
import datetime
import functools
import inspect
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "tools")]

import physics_fit as fit  # noqa: E402
import ptychography as pty  # noqa: E402
import tomography as tomo  # noqa: E402
from science_by_hand import FitByHand, PtychographyByHand, TomographyByHand  # noqa: E402

import gpuopt as go  # noqa: E402
from gpuopt.arrays import backend  # noqa: E402

xp = go.xp()
Steps = dict[str, Callable[[], Any]]
"""A step by the way in which it is written."""


RATES = {name: 0.03 * xp.asarray(scale) for name, scale in fit.SCALES.items()}
HERE: dict[str, Any] = {
    "ptychography": lambda params: go.partition(pty.RULES).init(params, rows="positions"),
    "tomography": tomo.WAYS["total variation, not negative"].init,
    "peaks": lambda params: go.Adam().init(params, hyper={"lr": RATES}),
}
BY_HAND: dict[str, Any] = {
    "ptychography": lambda params: PtychographyByHand(params, pty.MASK),
    "tomography": TomographyByHand,
    "peaks": lambda params: FitByHand(params, RATES),
}
CLASSES: dict[str, type] = {"ptychography": PtychographyByHand, "tomography": TomographyByHand, "peaks": FitByHand}
LINES_HERE = {"ptychography": 7, "tomography": 3, "peaks": 1}
"""The rules, `init`, `resized`, where the examples have them; the loops are the same."""


SIDE = {"ptychography": (pty.SIZE, 1024), "tomography": (tomo.SIZE, 512), "peaks": (1,)}
"""Of the object and of the image: as in the example, and as in a laboratory."""


def given(name: str, side: int) -> tuple[Any, Any]:
    """Parameters and gradients for one step."""
    rng = np.random.default_rng(0)
    if name == "tomography":
        return xp.zeros((side, side)), xp.asarray(rng.normal(size=(side, side)))
    if name == "peaks":
        params, grads = ({k: xp.array(a) for k, a in fit.START.items()} for _ in range(2))
        return params, grads
    shapes = {"object": (side, side), "probe": (pty.WINDOW, pty.WINDOW)}
    params, grads = ({k: xp.asarray(rng.normal(size=shape), "complex64") for k, shape in shapes.items()} for _ in range(2))
    positions = xp.asarray(np.zeros((len(pty.SCAN), 2), "float32"))
    places = rng.choice(len(pty.SCAN), pty.BATCH, replace=False)
    rows = go.rows(places, xp.asarray(np.ones((pty.BATCH, 2), "float32")))
    return {**params, "positions": positions}, {**grads, "positions": rows}


def steppers(name: str, side: int) -> Steps:
    found: Steps = {}
    for way, make in (("by hand", BY_HAND[name]), ("gpuopt", HERE[name])):
        params, grads = given(name, side)
        found[way] = functools.partial(make(params).step, grads)
    return found


def timed(name: str, side: int) -> dict[str, float]:
    """Microseconds of a step, the ways in turns; one of the first, as late ones of tomography have no length."""
    steps: Steps = {}
    for executor in ("numpy", "numba") if xp is np else ("cupy",):
        if xp is np:
            os.environ[backend.CPU_VARIABLE] = executor
        here = steppers(name, side)
        steps |= {"by hand": here["by hand"], executor: here["gpuopt"]}
    found = dict.fromkeys(steps, math.inf)
    count = 1 if xp is np else 20
    for _ in range(150 if side < 100 and xp is np else 12):
        for way, step in steps.items():
            start = time.perf_counter()
            for _ in range(count):
                step()
            wait()
            found[way] = min(found[way], 1e6 * (time.perf_counter() - start) / count)
    return found


def wait() -> None:
    """Until the GPU has done all, if there is one."""
    if xp is not np:
        xp.cuda.get_current_stream().synchronize()


def kernels(steps: Steps) -> dict[str, int]:
    """How many kernels the second step launches on the emulated GPU, which runs none of them."""
    from tests.support import asked

    found = {}
    with asked.idle_device() as log:
        for way, step in steps.items():
            step()
            log.clear()
            step()
            found[way] = asked.asked(log)["launch"]
    return found


def lines(name: str) -> dict[str, int]:
    """Lines of code without the blank ones."""
    source = inspect.getsource(CLASSES[name]).splitlines()
    return {"by hand": sum(bool(line.strip()) for line in source), "gpuopt": LINES_HERE[name]}


def off(found: Any, true: Any) -> float:
    return float(xp.linalg.norm(found - true) / xp.linalg.norm(true))


def ptychography(begin: Any) -> tuple[str, Any]:
    truth, seen = pty.make_data()
    params = pty.recover(truth, seen, begin).params
    lit = 2 * (slice(pty.INNER, -pty.INNER),)
    return pty.errors(params, truth, range(len(pty.SCAN)), 0), params | {"its middle": params["object"][lit]}


def tomography(begin: Any) -> tuple[str, Any]:
    truth, seen = tomo.make_data()
    image = tomo.reconstruct(seen, begin)
    return f"off by {off(image, truth):.1%}", {"image": image}


def peaks(begin: Any) -> tuple[str, Any]:
    opt = begin(copy.deepcopy(fit.START))
    for _ in range(1000):
        opt.step(fit.chi2(opt.params)[1])
    return f"chi² {fit.chi2(opt.params)[0]:.4f}", opt.params


RUNS = {"ptychography": ptychography, "tomography": tomography, "peaks": peaks}


def draw(path: Path, found: dict[str, Any]) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(13, 6.6))
    truth, seen = tomo.make_data()
    images = {"phantom": truth} | {name: tomo.reconstruct(seen, rule.init) for name, rule in tomo.WAYS.items()}
    for axis, (name, image) in zip(axes[0], images.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1.1, origin="lower")
        axis.set_title(name if image is truth else f"{name}: off by {off(image, truth):.1%}", fontsize=9)
    true, here = pty.make_data()[0], found["ptychography"]
    inner = 2 * (slice(pty.PAD, -pty.PAD),)
    factor = xp.vdot(here["object"][inner], true["object"][inner])
    for axis, (name, z) in zip(axes[1], {"true": true["object"], "found": here["object"] * factor}.items(), strict=False):
        axis.imshow(np.angle(z[inner]), cmap="twilight", vmin=-1.5, vmax=1.5)
        axis.set_title(f"phase of the object, {name}", fontsize=9)
    shift = (here["positions"] - true["positions"]).mean(axis=0)
    for label, at, style in (
        ("planned", 0, "k+"),
        ("true", true["positions"], "C0o"),
        ("found", here["positions"] - shift, "C1."),
    ):
        places = np.array(pty.SCAN) + at
        axes[1, 2].plot(places[:, 1], places[:, 0], style, label=label, ms={"C0o": 7, "C1.": 5}.get(style, 5), alpha=0.8)
    axes[1, 2].set(xlabel="pixels", aspect="equal")
    axes[1, 2].set_title("corners of the windows", fontsize=9)
    axes[1, 2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=9)
    axis = axes[1, 3]
    axis.semilogy(fit.x, fit.seen, ".", color="0.6", ms=3, label="counts")
    alike = go.minimize(fit.chi2, fit.START, go.Adam(0.03)).x
    for label, params, style, width in (("one lr", alike, "C0", 3.5), ("an lr each", found["peaks"], "C1", 1.2)):
        axis.semilogy(fit.x, np.maximum(fit.peaks(params)[0], 1), style, lw=width, label=label)
    axis.set_title("three peaks", fontsize=9)
    axis.legend(fontsize=9)
    for axis in (*axes[0], *axes[1, :2]):
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main() -> None:
    if "tests.support.emulated_gpu.device" in sys.modules:
        for name in BY_HAND:
            print(f"{name}: kernels a step", kernels(steppers(name, SIDE[name][0])))
        return
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, {xp.__name__} {xp.__version__}")
    found = {}
    for name, run in RUNS.items():
        print(f"{name}: lines {lines(name)}")
        for side in SIDE[name]:
            print(f"  µs a step, side {side}", {way: round(number) for way, number in timed(name, side).items()})
        if name == "peaks" and xp is not np:  # whose data are NumPy's
            continue
        reached = {"by hand": run(BY_HAND[name]), "gpuopt": run(HERE[name])}
        found[name] = reached["gpuopt"][1]
        apart = {k: off(a, reached["by hand"][1][k]) for k, a in found[name].items()}
        print("  reached", {way: text for way, (text, _) in reached.items()})
        print("  apart", {k: f"{number:.1e}" for k, number in apart.items()})
    if len(sys.argv) > 1:
        with go.plot.style():
            draw(Path(sys.argv[1]), found)


if __name__ == "__main__":
    main()
