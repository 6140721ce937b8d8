"""Functions to minimize: ``fun(x) -> (value, gradient)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt import problems

rosenbrock = problems.Rosenbrock(xp=np).fun


def bowl(x: Any, centre: Any = 3.0) -> tuple[Any, Any]:
    return 0.5 * ((x - centre) ** 2).sum(), x - centre


def kink(x: Any) -> tuple[Any, Any]:
    """A sharp valley around 0 that a large step leaves."""
    return np.abs(x).sum() + (x * x).sum(), np.sign(x) + 2 * x


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


def cluster() -> Any:
    """Thirteen atoms near the corners and the middle of an icosahedron."""
    golden = (1 + 5**0.5) / 2
    corners = np.array([(0, a, b * golden) for a in (1, -1) for b in (1, -1)])
    atoms = np.vstack([corners, corners[:, [2, 0, 1]], corners[:, [1, 2, 0]], np.zeros((1, 3))])
    return (0.58 * atoms + 0.08 * np.random.default_rng(2).normal(size=atoms.shape)).ravel()


def begun(problem: problems.Problem) -> tuple[Any, Any]:
    """A function, and where it begins."""
    return problem.fun, problem.x0


STANDARD: dict[str, tuple[Any, Any]] = {
    "Rosenbrock in 2 dimensions": begun(problems.Rosenbrock(xp=np)),
    "Rosenbrock in 10 dimensions": begun(problems.Rosenbrock(10, xp=np)),
    "Rosenbrock in 100 dimensions": begun(problems.Rosenbrock(100, xp=np)),
    "Beale": begun(problems.Beale(xp=np)),
    "Booth": begun(problems.Booth(xp=np)),
    "Himmelblau": begun(problems.Himmelblau(xp=np)),
    "Styblinski and Tang": begun(problems.StyblinskiTang(10, xp=np)),
    "quadratic": begun(problems.Quadratic(xp=np)),
    "logistic": begun(problems.LogisticRegression(xp=np)),
    "Lennard-Jones cluster": (lennard_jones, cluster()),
    "Powell": (powell, np.array([3.0, -1.0, 0.0, 1.0])),
    "Wood": (wood, np.array([-3.0, -1.0, -3.0, -1.0])),
    "helical valley": (helical_valley, np.array([-1.0, 0.1, 0.0])),
}
"""Problems of the literature, and where each begins."""


def phase_retrieval(size: int = 20) -> tuple[Any, Any, Any]:
    """A function of a complex vector, known by the squares of moduli; where to begin; a distance from the solution."""
    problem = problems.PhaseRetrieval(size, rows=8 * size, xp=np)
    right = problem.solution

    def distance(z: Any) -> float:
        """Whatever the phase of all of it."""
        return float(abs(z * np.exp(-1j * np.angle(np.vdot(right, z))) - right).max())

    return problem.fun, problem.x0, distance
