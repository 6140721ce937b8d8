"""Functions from the literature, and two that are made from random numbers.

Each takes one vector, `PhaseRetrieval` a complex one.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gpuopt.problems.problem import Problem
from gpuopt.rules.elsewhere import by_known_names

__all__ = [
    "Beale",
    "Booth",
    "Himmelblau",
    "PhaseRetrieval",
    "Quadratic",
    "Rosenbrock",
    "StyblinskiTang",
]


@by_known_names("gpuopt.problems.Rosenbrock(size=10)")
@dataclasses.dataclass(frozen=True)
class Rosenbrock(Problem):
    """A curved valley: ``Σ 100·(x[i+1] − x[i]²)² + (1 − x[i])²`` (Rosenbrock 1960).

    The valley is easy to reach, but progress along it is slow for a rule with one learning rate for
    all directions.

    Examples
    --------
    >>> import gpuopt as go
    >>> problem = go.problems.Rosenbrock()
    >>> found = go.minimize(problem.fun, problem.x0, go.LBFGS())
    >>> found.x.round(4), problem.solution, problem.minimum
    (array([1., 1.]), array([1., 1.]), 0.0)
    """

    size: int = 2

    @property
    def x0(self) -> Any:
        return self.array(np.resize([-1.2, 1.0], self.size))

    @property
    def solution(self) -> Any:
        return self.array(np.ones(self.size))

    def fun(self, x: Any) -> tuple[Any, Any]:
        a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        gradient = 0 * x
        gradient[:-1] = -400 * x[:-1] * a - 2 * b
        gradient[1:] += 200 * a
        return (100 * a**2 + b**2).sum(), gradient


@by_known_names("gpuopt.problems.Beale()")
@dataclasses.dataclass(frozen=True)
class Beale(Problem):
    """Flat, with steep walls: ``Σ (c_k − x·(1 − y^k))²``, c = 1.5, 2.25, 2.625 (Beale 1958)."""

    @property
    def x0(self) -> Any:
        return self.array([1.0, 1.0])

    @property
    def solution(self) -> Any:
        return self.array([3.0, 0.5])

    def fun(self, x: Any) -> tuple[Any, Any]:
        u, v = x
        a, b, c = 1.5 - u + u * v, 2.25 - u + u * v**2, 2.625 - u + u * v**3
        by_u = a * (v - 1) + b * (v**2 - 1) + c * (v**3 - 1)
        by_v = a * u + 2 * b * u * v + 3 * c * u * v**2
        return a * a + b * b + c * c, 2 * self.xp.stack([by_u, by_v])


@by_known_names("gpuopt.problems.Booth()")
@dataclasses.dataclass(frozen=True)
class Booth(Problem):
    """An elliptic bowl: ``(x + 2·y − 7)² + (2·x + y − 5)²``, of condition 9."""

    @property
    def x0(self) -> Any:
        return self.array([0.0, 0.0])

    @property
    def solution(self) -> Any:
        return self.array([1.0, 3.0])

    def fun(self, x: Any) -> tuple[Any, Any]:
        a, b = x[0] + 2 * x[1] - 7, 2 * x[0] + x[1] - 5
        return a * a + b * b, self.xp.stack([2 * a + 4 * b, 4 * a + 2 * b])


@by_known_names("gpuopt.problems.Himmelblau()")
@dataclasses.dataclass(frozen=True)
class Himmelblau(Problem):
    """Four equal minima: ``(x² + y − 11)² + (x + y² − 7)²`` (Himmelblau 1972)."""

    @property
    def x0(self) -> Any:
        return self.array([0.0, 0.0])

    @property
    def solution(self) -> Any:
        return self.array([3.0, 2.0])

    def fun(self, x: Any) -> tuple[Any, Any]:
        a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
        return a * a + b * b, self.xp.stack([4 * a * x[0] + 2 * b, 2 * a + 4 * b * x[1]])


@by_known_names("gpuopt.problems.StyblinskiTang(size=10)")
@dataclasses.dataclass(frozen=True)
class StyblinskiTang(Problem):
    """Many minima: ``Σ (x⁴ − 16·x² + 5·x) / 2``, two in each direction (Styblinski and Tang 1990).

    The deepest is ``−39.166…`` for each direction. The start is in its basin.
    """

    size: int = 2

    @property
    def x0(self) -> Any:
        return self.array(np.full(self.size, -1.0))

    @property
    def solution(self) -> Any:
        return self.array(np.full(self.size, np.roots([4.0, 0.0, -32.0, 5.0]).min()))

    def fun(self, x: Any) -> tuple[Any, Any]:
        return (x**4 - 16 * x**2 + 5 * x).sum() / 2, (4 * x**3 - 32 * x + 5) / 2


@by_known_names("gpuopt.problems.Quadratic(size=10)")
@dataclasses.dataclass(frozen=True)
class Quadratic(Problem):
    """An ill-conditioned bowl, rotated at random: ``(x − 1)ᵀ·H·(x − 1) / 2``.

    The eigenvalues of H are spaced geometrically from 1 to `condition`.
    """

    size: int = 50
    condition: float = 1e4
    seed: int = 0

    @functools.cached_property
    def hessian(self) -> Any:
        """The matrix H."""
        rng = np.random.default_rng(self.seed)
        turned = np.linalg.qr(rng.normal(size=(self.size, self.size)))[0]
        return self.array((turned * np.geomspace(1.0, self.condition, self.size)) @ turned.T)

    @property
    def x0(self) -> Any:
        return self.array(np.zeros(self.size))

    @property
    def solution(self) -> Any:
        return self.array(np.ones(self.size))

    def fun(self, x: Any) -> tuple[Any, Any]:
        gradient = self.hessian @ (x - 1)
        return (x - 1) @ gradient / 2, gradient


@by_known_names("gpuopt.problems.PhaseRetrieval(size=10)")
@dataclasses.dataclass(frozen=True)
class PhaseRetrieval(Problem):
    """A complex vector from moduli: ``Σ (|A·x|² − |A·solution|²)² / 4n``, with n random rows of A.

    The solution is unique up to a common phase. The gradient is ``dL/dx + 1j·dL/dy``, as rules take
    it.
    """

    size: int = 20
    rows: int = 160
    seed: int = 0

    @functools.cached_property
    def _made(self) -> tuple[Any, ...]:
        """The matrix, the solution, the squares of the moduli, and the start."""
        rng = np.random.default_rng(self.seed)

        def drawn(*shape: int) -> Any:
            return rng.normal(size=shape) + 1j * rng.normal(size=shape)

        matrix, solution = drawn(self.rows, self.size), drawn(self.size)
        seen, start = abs(matrix @ solution) ** 2, solution + 0.3 * drawn(self.size)
        return tuple(map(self.array, (matrix, solution, seen, start)))

    @property
    def x0(self) -> Any:
        return self._made[3].copy()

    @property
    def solution(self) -> Any:
        return self._made[1].copy()

    @property
    def minimum(self) -> float:
        return 0.0

    def fun(self, x: Any) -> tuple[Any, Any]:
        matrix, _, seen, _ = self._made
        wave = matrix @ x
        off = wave.real**2 + wave.imag**2 - seen
        return off @ off / (4 * self.rows), matrix.conj().T @ (off * wave) / self.rows
