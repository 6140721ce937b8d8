"""Sets and penalties that couple several elements, by functions of whole arrays."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from gpuopt.rules.constraint_pieces import shrunk
from gpuopt.rules.multipliers import ball_multiplier, group_norm, simplex_shift
from gpuopt.rules.piece import ParameterPiece
from gpuopt.rules.proximal import Proximal, is_number, refuse_complex
from gpuopt.rules.ranges import NonNegative, Positive, single

__all__ = ["group_l1", "norm_ball", "simplex"]


class norm_ball(Proximal, ParameterPiece):
    """Project each array onto a ball: the nearest array with ``‖p‖ ≤ radius``, where ``‖p‖`` is the
    2-norm of all its elements.

    Behind `GradientDescent` and `Momentum` it is ``p ← new·min(1, radius/‖new‖)``, which costs one
    more pass. Behind `Adam` and others, it takes the nearest point in the metric of the step, ``Σ|y
    - new|²/scale``. That is another point, ``new/(1 + λ·scale)``: a Euclidean projection would stop
    where the loss still falls along the ball. Newton's method finds λ, in a function of the whole
    array with about 30 passes over it. An array inside the ball stays unchanged. The norm holds up
    to the rounding of the stored elements.

    Parameters
    ----------
    radius : float or schedule
        Greater than 0.
    metric : {"rule", "euclidean"}
        ``"euclidean"`` projects along the radius for every rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.chain(go.Adam(0.03), go.norm_ball(1.0)).init(x)
    >>> for _ in range(2000):
    ...     opt.step(x - np.array([3.0, 4.0]))
    >>> x.round(6).tolist()
    [0.6, 0.8]
    """

    radius: Positive
    metric: str = "rule"

    def nearest(self, x: Any, scale: Any) -> Any:
        one_number(self, "radius")
        if not is_number(scale):
            return x / (1 + ball_multiplier(np.abs(x), scale, self.radius).real)
        size = np.linalg.norm(x)
        return single(np.where(size > self.radius, self.radius / size, 1.0)) * x


class simplex(Proximal, ParameterPiece):
    """Project each array onto a simplex: the nearest array with ``p ≥ 0`` and ``Σp = total``. For
    real parameters.

    It is ``p ← max(new - λ·scale, 0)``. The scale is the factor by which the rule multiplies the
    gradient of each element, as in `norm_ball`. Newton's method finds λ exactly (Michelot 1986), in
    a function of the whole array, in 5 to 10 iterations of about 4 passes each. The sum holds up to
    rounding.

    Parameters
    ----------
    total : float or schedule
        Greater than 0.
    metric : {"rule", "euclidean"}
        ``"euclidean"`` takes one scale for all elements, for every rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(3)
    >>> opt = go.chain(go.Adam(0.03), go.simplex()).init(x)
    >>> for _ in range(2000):
    ...     opt.step(x - np.array([0.9, 0.5, -1.0]))
    >>> x.round(6).tolist()
    [0.7, 0.3, 0.0]
    """

    total: Positive = 1.0
    metric: str = "rule"

    def nearest(self, x: Any, scale: Any) -> Any:
        refuse_complex(self, x)
        one_number(self, "total")
        return np.maximum(x - simplex_shift(x, scale, self.total), 0.0)


class group_l1(Proximal, ParameterPiece):
    """The proximal step of ``weight·Σ‖p‖``, over groups along an axis (Yuan & Lin 2006): whole
    groups become 0.

    Behind `GradientDescent` and `Momentum` it is ``p ← new·max(0, 1 - lr·weight/‖new‖)``. Behind
    `Adam` and others it acts in the metric of the step, as `l1` does: ``p ← new·s/(s +
    weight·scale)``, where s is the norm of the new group, found by Newton's method.

    Parameters
    ----------
    weight : float or schedule
        At least 0.
    axis : int
        The axis along which the elements of a group lie.
    metric : {"rule", "euclidean"}
        ``"euclidean"`` shrinks each group by ``lr·weight`` for every rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.chain(go.Adam(0.03), go.group_l1(1.0)).init(x)
    >>> for _ in range(2000):
    ...     opt.step(x - np.array([[3.0, 4.0], [0.5, 0.5]]))
    >>> x.round(6).tolist()
    [[2.4, 3.2], [0.0, 0.0]]
    """

    _set: ClassVar[bool] = False
    weight: NonNegative
    axis: int = -1
    metric: str = "rule"

    def nearest(self, x: Any, scale: Any) -> Any:
        one_number(self, "weight")
        most = scale * self.weight
        if is_number(scale):
            return shrunk(x, np.linalg.norm(x, axis=self.axis, keepdims=True), most)
        norm = group_norm(np.abs(x), most, self.axis)
        return np.where(norm <= 0, 0.0, norm / np.where(norm + most > 0, norm + most, 1.0) * x)


def one_number(piece: Proximal, name: str) -> None:
    """Raise TypeError if there is an array for what is one number of a whole array."""
    if not is_number(getattr(piece, name)):
        raise TypeError(
            f"{type(piece).__name__}: {name} must be one number for all elements of an array, not "
            "an array; to give each array its own number, use gpuopt.partition"
        )
