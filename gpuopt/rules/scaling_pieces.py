"""Pieces between a rule and the parameter, which scale or mask its step."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.rules.piece import StepPiece, rate_of
from gpuopt.rules.ranges import NonNegative, Positive, single

__all__ = ["cautious", "trust_ratio", "update_clip"]


class trust_ratio(StepPiece):
    """Scale the step to its array (You et al. 2017, 2020): ``u ← u·‖p‖/(‖u‖ + eps)``, where the
    step is ``lr·u``; unchanged if ‖p‖ or ‖u‖ is 0.

    Each array has its own norms, and `lr` is the rule's. Behind `AdamW` it is `LAMB`.

    Parameters
    ----------
    eps : float or schedule
        Added to the norm, at least 0.
    """

    eps: NonNegative = 0.0

    def update(self, t: Any, p: Any, step: Any) -> Any:
        size, length = np.linalg.norm(p), np.linalg.norm(step) / rate_of(self)
        ratio = np.where((size > 0) & (length > 0), size / (length + self.eps), 1.0)
        return single(ratio) * step


class cautious(StepPiece):
    """Keep only the elements of the step that descend along the gradient (Liang et al. 2024,
    "Cautious optimizers: improving training with one line of code").

    The step becomes 0 where ``step·g ≤ 0``. The other elements are divided by their share of the
    array, or by 0.001 if their share is smaller.
    """

    def update(self, t: Any, p: Any, step: Any) -> Any:
        g: Any = self.g
        product = step * g
        if np.iscomplexobj(step):
            product = step.real * g.real + step.imag * g.imag
        share = np.maximum(np.mean(np.where(product > 0, 1.0, 0.0)), 0.001)
        return np.where(product > 0, step, 0.0) * single(1.0 / share)


class update_clip(StepPiece):
    """Clip the root mean square of the step's direction to `d` (Shazeer & Stern 2018): ``u ←
    u/max(1, RMS(u)/d)``, where the step is ``lr·u``.

    Each array has its own mean, and `lr` is the rule's.

    Parameters
    ----------
    d : float or schedule
        The largest root mean square, greater than 0.
    """

    d: Positive = 1.0

    def update(self, t: Any, p: Any, step: Any) -> Any:
        size, most = np.linalg.norm(step) / np.sqrt(p.size), rate_of(self) * self.d
        return single(np.where(size > most, most / size, 1.0)) * step
