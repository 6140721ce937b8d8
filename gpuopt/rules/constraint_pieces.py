"""Pieces that keep each element in a set, and the penalty l1, which sets elements to 0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gpuopt.rules.piece import ParameterPiece
from gpuopt.rules.proximal import Proximal, refuse_complex
from gpuopt.rules.ranges import EachBound, EachHyper, EachNonNegative
from gpuopt.rules.rule import clipped

__all__ = ["bounds", "disk", "l1", "nonnegative", "support", "unit_modulus"]


class bounds(Proximal, ParameterPiece):
    """Project onto an interval: ``p ← min(max(new, lo), hi)``. For real parameters.

    A 16-bit parameter also lies inside as it is stored, however it is rounded: its ends are the
    outermost numbers of its dtype that lie inside, if there are any. Arrays in place of the ends
    are used as they are. Pass them in the parameter's dtype, and the stored parameter lies inside.
    A schedule that a GPU evaluates is used as it is, too.

    Parameters
    ----------
    lo, hi : float, schedule, array or None
        The ends, with ``lo <= hi``. None or an infinity means no bound.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(3)
    >>> lowest = np.array([-1.0, 0.0, 1.0])
    >>> go.chain(go.GradientDescent(1.0), go.bounds(lo=lowest)).init(x).step(np.full(3, 0.5))
    >>> x.tolist()
    [-0.5, 0.0, 1.0]
    """

    _limits = (("lo", "hi"),)
    lo: EachBound | None = None
    hi: EachBound | None = None

    def check(self) -> None:
        if self.lo is None and self.hi is None:
            raise ValueError("bounds: give lo, hi or both")
        if isinstance(self.lo, float) and isinstance(self.hi, float) and self.lo > self.hi:
            raise ValueError(
                f"bounds: lo must not be greater than hi, got lo={self.lo!r}, hi={self.hi!r}"
            )

    def nearest(self, x: Any, scale: Any) -> Any:
        refuse_complex(self, x)
        return np.clip(x, self.lo, self.hi)


class nonnegative(Proximal, ParameterPiece):
    """Project onto numbers of at least 0: ``p ← max(new, 0)``. For real parameters.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([0.5, 2.0])
    >>> go.chain(go.GradientDescent(1.0), go.nonnegative()).init(x).step(np.ones(2))
    >>> x.tolist()
    [0.0, 1.0]
    """

    def nearest(self, x: Any, scale: Any) -> Any:
        refuse_complex(self, x)
        return np.maximum(x, 0.0)


class disk(Proximal, ParameterPiece):
    """Project each element onto a disk: ``p ← new·min(1, radius/|new|)``; a real element onto
    ``[-radius, radius]``.

    An element inside the disk stays unchanged, bit for bit. A projected complex number lies inside
    up to the rounding of its parts, a 16-bit one as in `bounds`.

    Parameters
    ----------
    radius : float, schedule or array
        At least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> z = np.array([3.0 + 4.0j, 0.5j])
    >>> go.chain(go.GradientDescent(1.0), go.disk(1.0)).init(z).step(0 * z)
    >>> z.round(6).tolist()
    [(0.6+0.8j), 0.5j]
    """

    _limits = (("", "radius"),)
    radius: EachNonNegative

    def nearest(self, x: Any, scale: Any) -> Any:
        return clipped(x, self.radius)


class unit_modulus(Proximal, ParameterPiece):
    """Project each element onto the unit circle: ``p ← new/|new|``, and 1 where that is 0.

    For phases. A real parameter becomes 1 or -1.

    Examples
    --------
    >>> import gpuopt as go
    >>> z = np.array([3.0 + 4.0j, 0.0])
    >>> go.chain(go.GradientDescent(1.0), go.unit_modulus()).init(z).step(0 * z)
    >>> z.round(6).tolist()
    [(0.6+0.8j), (1+0j)]
    """

    def nearest(self, x: Any, scale: Any) -> Any:
        return np.where(x == 0, 1.0, np.sign(x))


class support(Proximal, ParameterPiece):
    """Keep elements outside a support at 0: ``p ← new`` where `mask` is not 0, else 0.

    Parameters
    ----------
    mask : array
        An array that broadcasts to the parameter, for example of bool.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(3)
    >>> inside = np.array([True, False, True])
    >>> go.chain(go.GradientDescent(1.0), go.support(inside)).init(x).step(-np.ones(3))
    >>> x.tolist()
    [1.0, 0.0, 1.0]
    """

    mask: EachHyper

    def nearest(self, x: Any, scale: Any) -> Any:
        return np.where(self.mask != 0, x, 0.0)


class l1(Proximal, ParameterPiece):
    """The proximal step of ``weight·Σ|p|``: it moves ``p`` towards 0 by ``scale·weight``, and not
    past 0.

    It makes elements exactly 0. The modulus of a complex number shrinks, and its phase stays. The
    scale is the factor by which the rule multiplies the gradient of this element, such as ``lr/(√v̂
    + ε)`` in `Adam`. With it, the result minimizes ``loss + weight·Σ|p|`` (Melchior, Joseph &
    Moolekamp 2019, "Proximal Adam"). Plain shrinkage by ``lr·weight`` does that only behind
    `GradientDescent`, where the two are the same. It moves no more bytes than the rule.

    Parameters
    ----------
    weight : float, schedule or array
        At least 0.
    metric : {"rule", "euclidean"}
        ``"euclidean"`` shrinks by ``lr·weight`` for every rule. A rule such as `Lion`, whose step
        is not a multiple of the gradient, needs it.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.chain(go.Adam(0.1), go.l1(1.5)).init(x)
    >>> for _ in range(500):
    ...     opt.step(x - np.array([3.0, 1.0]))
    >>> x.round(6).tolist()
    [1.5, 0.0]
    """

    _set: ClassVar[bool] = False
    weight: EachNonNegative
    metric: str = "rule"

    def nearest(self, x: Any, scale: Any) -> Any:
        most = scale * self.weight
        if not np.iscomplexobj(x):
            return x - np.clip(x, -most, most)
        return shrunk(x, np.abs(x), most)


def shrunk(x: Any, size: Any, most: Any) -> Any:
    """`x` with `most` less of the modulus, or norm, that it has in `size`; 0 where that is less."""
    left = 1 - most / np.where(size > most, size, 1.0)
    return np.where(size <= most, 0.0, left * x)
