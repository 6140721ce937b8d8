"""Total variation: the sum of differences of neighbours, which makes images flat between edges."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gpuopt.rules.group_pieces import one_number
from gpuopt.rules.piece import ParameterPiece
from gpuopt.rules.proximal import Proximal
from gpuopt.rules.ranges import NonNegative
from gpuopt.rules.rule import abs2
from gpuopt.rules.whole_arrays import buffer, whole_array

__all__ = ["total_variation"]


def _no_flow(p: Any) -> Any:
    return np.zeros_like(p, shape=(p.ndim, *p.shape))


class total_variation(Proximal, ParameterPiece):
    """The proximal step of ``weight·TV(p)``, where ``TV`` sums the differences of neighbours along
    all axes (Rudin, Osher & Fatemi 1992). It gives flat areas with edges.

    The isotropic ``TV`` is ``Σ √(Σ |∂p|²)``, the anisotropic one ``Σ Σ |∂p|``. The step is computed
    by accelerated projected gradients of the dual problem (Chambolle 2004; Beck & Teboulle 2009,
    "FGP"), in a function of the whole array. The dual variable, an array for each axis, is kept:
    each step continues where the last one ended, so a few iterations a step are enough. They are
    preconditioned for the metric of the step, as in `l1`. An iteration costs about ``10·ndim``
    passes over the array.

    Parameters
    ----------
    weight : float or schedule
        At least 0.
    isotropic : bool
        Whether edges in all directions cost the same.
    iterations : int
        The number of iterations in each step, at least 1.
    metric : {"rule", "euclidean"}
        ``"euclidean"`` takes the learning rate as the scale, for every rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> noisy = np.array([0.1, -0.1, 0.0, 1.1, 0.9, 1.0])
    >>> x = np.zeros(6)
    >>> opt = go.chain(go.GradientDescent(0.5), go.total_variation(0.3)).init(x)
    >>> for _ in range(100):
    ...     opt.step(x - noisy)
    >>> x.round(6).tolist()
    [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    """

    _set: ClassVar[bool] = False
    weight: NonNegative
    isotropic: bool = True
    iterations: int = 20
    metric: str = "rule"

    def check(self) -> None:
        super().check()
        if self.iterations < 1:
            raise ValueError(
                f"total_variation: iterations must be at least 1, got {self.iterations!r}"
            )

    def update(self, t: Any, p: Any, new: Any, flow: Any = buffer(_no_flow)) -> Any:
        one_number(self, "weight")
        return flat(new, self._scale(), self.weight, flow, self.isotropic, self.iterations)

    def nearest(self, x: Any, scale: Any) -> Any:
        """From a flow of 0, with 10 times the iterations of a step."""
        flow, most = _no_flow(x), 10 * self.iterations
        return flat(x, scale, self.weight, flow, self.isotropic, most)[0]


@whole_array(outputs=2)
def flat(
    x: Any, scale: Any, weight: Any, flow: Any, isotropic: bool, iterations: int
) -> tuple[Any, Any]:
    """The proximal step ``x - scale·∂ᵀflow``, and the flow, a dual variable of modulus `weight` at
    most.
    """
    pace = _pace(x, scale, isotropic)
    ahead, momentum = flow, 1.0
    for _ in range(iterations):
        found = _differences(x - scale * _back(ahead))
        found *= pace
        found += ahead
        before, flow = flow, _within(found, weight, isotropic)
        after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = flow - before
        ahead *= (momentum - 1) / after
        ahead += flow
        momentum = after
    return x - scale * _back(flow), flow


def _pace(x: Any, scale: Any, isotropic: bool) -> Any:
    """The step of the dual variable: the inverse of a bound of the rows of ``∂·scale·∂ᵀ``."""
    scale = scale * np.ones_like(x.real)
    rows = 2 * x.ndim * (2 * scale + _differences(scale))
    if isotropic:  # all of a place together, for they are projected together
        rows = np.max(rows, axis=0, keepdims=True)
    return 1 / np.where(rows > 0, rows, np.inf)


def _within(flow: Any, weight: Any, isotropic: bool) -> Any:
    """The flow with a modulus of `weight` at most in each place, or of each component."""
    size = np.sqrt(np.sum(abs2(flow), axis=0, keepdims=True)) if isotropic else np.abs(flow)
    flow *= weight / np.maximum(size, weight + np.finfo(size.dtype).tiny)
    return flow


def _differences(x: Any) -> Any:
    """Of each element to the next along each axis, 0 at the end."""
    found = np.zeros_like(x, shape=(x.ndim, *x.shape))
    for axis, own in enumerate(found):
        np.subtract(x[_all_but_first(axis)], x[_all_but_last(axis)], out=own[_all_but_last(axis)])
    return found


def _back(flow: Any) -> Any:
    """The adjoint of the differences."""
    found = np.zeros_like(flow[0])
    for axis, own in enumerate(flow):
        inner = _all_but_last(axis)
        found[inner] -= own[inner]
        found[_all_but_first(axis)] += own[inner]
    return found


def _all_but_last(axis: int) -> Any:
    return (*[slice(None)] * axis, slice(None, -1))


def _all_but_first(axis: int) -> Any:
    return (*[slice(None)] * axis, slice(1, None))
