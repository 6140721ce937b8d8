"""A fit of three peaks on a slope, whose parameters are between 0.01 and 5,000: Adam, and L-BFGS, on a dict of arrays.

One of the peaks is a shoulder of another. Adam gets a step for each parameter, in proportion to its scale; L-BFGS gets the
parameters in units of their scales. Where SciPy is installed, its least squares say what the smallest chi² is:

    python examples/physics_fit.py
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

import gpuopt as go

TRUTH = {
    "height": np.array([5000.0, 900.0, 60.0]),
    "center": np.array([0.30, 0.345, 0.70]),
    "width": np.array([0.012, 0.020, 0.050]),
    "slope": np.array([25.0, 10.0]),
}
START = {
    "height": np.array([3000.0, 1500.0, 100.0]),
    "center": np.array([0.295, 0.36, 0.66]),
    "width": np.array([0.02, 0.02, 0.04]),
    "slope": np.array([15.0, 0.0]),
}
SCALES = {
    "height": np.array([5000.0, 1000.0, 100.0]),
    "center": np.full(3, 0.02),
    "width": np.full(3, 0.01),
    "slope": np.array([20.0, 20.0]),
}

x = np.linspace(0.0, 1.0, 300)


def peaks(p: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The spectrum, the peaks of height 1, and how far each point is from each center, in widths."""
    far = (x - p["center"][:, None]) / p["width"][:, None]
    shapes = np.exp(-0.5 * far * far)
    return p["height"] @ shapes + p["slope"][0] + p["slope"][1] * x, shapes, far


seen = np.random.default_rng(0).poisson(peaks(TRUTH)[0])


def residuals(p: dict[str, Any]) -> Any:
    """How many standard deviations each count is off."""
    return (peaks(p)[0] - seen) / np.sqrt(seen + 1)


def chi2(p: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """chi², and its gradient by hand."""
    total, shapes, far = peaks(p)
    off = (total - seen) / np.sqrt(seen + 1)
    back = 2 * off / np.sqrt(seen + 1)
    by_center = (p["height"] / p["width"])[:, None] * shapes * far
    return float(off @ off), {
        "height": shapes @ back,
        "center": by_center @ back,
        "width": (by_center * far) @ back,
        "slope": np.array([back.sum(), back @ x]),
    }


def in_units(z: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The same for parameters in units of their scales: L-BFGS has one step for all, so they must be alike."""
    value, grads = chi2({name: SCALES[name] * z[name] for name in z})
    return value, {name: SCALES[name] * grads[name] for name in z}


def least_squares() -> float | None:
    """The chi² that SciPy reaches, if it is installed."""
    if not importlib.util.find_spec("scipy"):
        return None
    optimize = importlib.import_module("scipy.optimize")
    ends = np.cumsum([array.size for array in START.values()])[:-1]
    start, scales = (np.concatenate(list(tree.values())) for tree in (START, SCALES))
    found = optimize.least_squares(lambda v: residuals(dict(zip(START, np.split(v, ends), strict=True))), start, x_scale=scales)
    return 2 * float(found.cost)


def main() -> None:
    """Check the gradient, fit in two ways, and print what chi² is reached."""
    print(go.check_gradient(chi2, START))
    print(f"start:   chi² {chi2(START)[0]:.4f} for {x.size} points")
    alike = go.minimize(chi2, START, go.Adam(0.03))
    print(f"one lr:  chi² {alike.fun:.4f} after {alike.nfev} calls")
    adam = go.minimize(chi2, START, go.Adam(), hyper={"lr": {name: 0.03 * scale for name, scale in SCALES.items()}})
    print(f"Adam:    chi² {adam.fun:.4f} after {adam.nfev} calls")
    search = go.minimize(in_units, {name: START[name] / SCALES[name] for name in START}, go.LBFGS())
    print(f"L-BFGS:  chi² {search.fun:.4f} after {search.nfev} calls")
    best = least_squares()
    print("SciPy is not installed" if best is None else f"SciPy:   chi² {best:.4f}")
    for name, values in adam.x.items():
        print(f"{name}: {values.round(4).tolist()}, and {TRUTH[name].tolist()} in truth")


if __name__ == "__main__":
    main()
