"""Functions to minimize: ``fun(x) -> (value, gradient)``."""

from __future__ import annotations

from typing import Any

import numpy as np


def rosenbrock(x: Any) -> tuple[Any, Any]:
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = 0 * x
    g[:-1] = -400 * x[:-1] * a - 2 * b
    g[1:] += 200 * a
    return (100 * a**2 + b**2).sum(), g


def bowl(x: Any, centre: Any = 3.0) -> tuple[Any, Any]:
    return 0.5 * ((x - centre) ** 2).sum(), x - centre


def kink(x: Any) -> tuple[Any, Any]:
    """A sharp valley around 0 that a large step leaves."""
    return np.abs(x).sum() + (x * x).sum(), np.sign(x) + 2 * x


def beale(z: Any) -> tuple[Any, Any]:
    x, y = z
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    slopes = [a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1), a * x + 2 * b * x * y + 3 * c * x * y**2]
    return a * a + b * b + c * c, 2 * np.array(slopes)


def booth(z: Any) -> tuple[Any, Any]:
    a, b = z[0] + 2 * z[1] - 7, 2 * z[0] + z[1] - 5
    return a * a + b * b, np.array([2 * a + 4 * b, 4 * a + 2 * b])


def himmelblau(z: Any) -> tuple[Any, Any]:
    a, b = z[0] ** 2 + z[1] - 11, z[0] + z[1] ** 2 - 7
    return a * a + b * b, np.array([4 * a * z[0] + 2 * b, 2 * a + 4 * b * z[1]])


def styblinski(x: Any) -> tuple[Any, Any]:
    return (x**4 - 16 * x**2 + 5 * x).sum() / 2, (4 * x**3 - 32 * x + 5) / 2


def powell(x: Any) -> tuple[Any, Any]:
    a, b, c, e = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
    slopes = [2 * a + 40 * e**3, 20 * a + 4 * c**3, 10 * b - 8 * c**3, -10 * b - 40 * e**3]
    return a * a + 5 * b * b + c**4 + 10 * e**4, np.array(slopes)


def wood(x: Any) -> tuple[Any, Any]:
    a, b, c, e = x
    value = 100 * (b - a * a) ** 2 + (1 - a) ** 2 + 90 * (e - c * c) ** 2 + (1 - c) ** 2
    value += 10.1 * ((b - 1) ** 2 + (e - 1) ** 2) + 19.8 * (b - 1) * (e - 1)
    slopes = [
        -400 * a * (b - a * a) - 2 * (1 - a),
        200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (e - 1),
        -360 * c * (e - c * c) - 2 * (1 - c),
        180 * (e - c * c) + 20.2 * (e - 1) + 19.8 * (b - 1),
    ]
    return value, np.array(slopes)


def helical_valley(v: Any) -> tuple[Any, Any]:
    x, y, z = v
    r = np.hypot(x, y)
    a, b = 10 * (z - 10 * np.arctan2(y, x) / (2 * np.pi)), 10 * (r - 1)
    turn = 100 * a / (np.pi * r * r)
    return a * a + b * b + z * z, np.array([turn * y + 20 * b * x / r, -turn * x + 20 * b * y / r, 20 * a + 2 * z])


def lennard_jones(x: Any) -> tuple[Any, Any]:
    """The energy of a cluster of atoms, three coordinates each."""
    atoms = x.reshape(-1, 3)
    i, j = np.triu_indices(len(atoms), 1)
    apart = atoms[i] - atoms[j]
    square = (apart**2).sum(axis=1)
    force = ((24 * square**-3 - 48 * square**-6) / square)[:, None] * apart
    gradient = np.zeros_like(atoms)
    np.add.at(gradient, i, force)
    np.add.at(gradient, j, -force)
    return 4 * (square**-6 - square**-3).sum(), gradient.ravel()


def quadratic() -> tuple[Any, Any]:
    """A function of 50 variables with a condition of 10,000, and where it begins."""
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]
    hessian = (turned * np.logspace(0, 4, 50)) @ turned.T
    return lambda x: ((x - 1) @ hessian @ (x - 1) / 2, hessian @ (x - 1)), np.zeros(50)


def logistic() -> tuple[Any, Any]:
    """Logistic regression with a small penalty, and where it begins."""
    rng = np.random.default_rng(1)
    data = rng.normal(size=(200, 20))
    label = np.sign(data @ rng.normal(size=20) + rng.normal(size=200))

    def fun(w: Any) -> tuple[Any, Any]:
        margin = label * (data @ w)
        return np.logaddexp(0, -margin).sum() + 0.05 * w @ w, 0.1 * w - data.T @ (label / (1 + np.exp(margin)))

    return fun, np.zeros(20)


def cluster() -> Any:
    """Thirteen atoms near the corners and the middle of an icosahedron."""
    golden = (1 + 5**0.5) / 2
    corners = np.array([(0, a, b * golden) for a in (1, -1) for b in (1, -1)])
    atoms = np.vstack([corners, corners[:, [2, 0, 1]], corners[:, [1, 2, 0]], np.zeros((1, 3))])
    return (0.58 * atoms + 0.08 * np.random.default_rng(2).normal(size=atoms.shape)).ravel()


STANDARD: dict[str, tuple[Any, Any]] = {
    "Rosenbrock in 2 dimensions": (rosenbrock, np.array([-1.2, 1.0])),
    "Rosenbrock in 10 dimensions": (rosenbrock, np.tile([-1.2, 1.0], 5)),
    "Rosenbrock in 100 dimensions": (rosenbrock, np.tile([-1.2, 1.0], 50)),
    "Beale": (beale, np.array([1.0, 1.0])),
    "Booth": (booth, np.zeros(2)),
    "Himmelblau": (himmelblau, np.zeros(2)),
    "Styblinski and Tang": (styblinski, np.full(10, -1.0)),
    "quadratic": quadratic(),
    "logistic": logistic(),
    "Lennard-Jones cluster": (lennard_jones, cluster()),
    "Powell": (powell, np.array([3.0, -1.0, 0.0, 1.0])),
    "Wood": (wood, np.array([-3.0, -1.0, -3.0, -1.0])),
    "helical valley": (helical_valley, np.array([-1.0, 0.1, 0.0])),
}
"""Problems of the literature, and where each begins."""


def phase_retrieval(seed: int = 0, size: int = 20) -> tuple[Any, Any, Any]:
    """A function of a complex vector, known by the squares of moduli; where to begin; a distance from the solution."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(8 * size, size)) + 1j * rng.normal(size=(8 * size, size))
    right = rng.normal(size=size) + 1j * rng.normal(size=size)
    seen = abs(matrix @ right) ** 2

    def fun(z: Any) -> tuple[Any, Any]:
        wave = matrix @ z
        off = abs(wave) ** 2 - seen
        return float(off @ off) / (4 * len(seen)), matrix.conj().T @ (off * wave) / len(seen)

    def distance(z: Any) -> float:
        """Whatever the phase of all of it."""
        return float(abs(z * np.exp(-1j * np.angle(np.vdot(right, z))) - right).max())

    return fun, right + 0.3 * (rng.normal(size=size) + 1j * rng.normal(size=size)), distance
