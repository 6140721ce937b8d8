"""Examples of every piece: the one list that every test of pieces goes by.

A piece without an example here fails the suite. Where a test takes one example of each piece, it takes the first.
"""

from __future__ import annotations

from typing import Any

import gpuopt as go

EXAMPLES: dict[str, list[Any]] = {
    "accumulate": [go.accumulate(3), go.accumulate(1)],
    "cautious": [go.cautious()],
    "trust_ratio": [go.trust_ratio(), go.trust_ratio(0.3)],
    "update_clip": [go.update_clip(0.2), go.update_clip()],
    "average": [go.average(0.7), go.average(), go.average(0.0)],
    "bounds": [go.bounds(-0.5, 0.5), go.bounds(lo=0.0), go.bounds(hi=0.1)],
    "centralize": [go.centralize()],
    "clip": [go.clip(0.3), go.clip(1e6)],
    "clip_global_norm": [go.clip_global_norm(0.7), go.clip_global_norm(1e6, 0.0)],
    "clip_norm": [go.clip_norm(0.7), go.clip_norm(0.1, eps=0.5)],
    "disk": [go.disk(0.5)],
    "l1": [go.l1(0.3, metric="euclidean")],
    "nonnegative": [go.nonnegative()],
    "support": [go.support(1.0)],
    "unit_modulus": [go.unit_modulus()],
    "decoupled_weight_decay": [go.decoupled_weight_decay(0.1)],
    "freeze": [go.freeze("1"), go.freeze("[02]")],
    "gradient_noise": [go.gradient_noise(0.5, 0.0, seed=2**32 - 7), go.gradient_noise()],
    "lookahead": [go.lookahead(2, 0.8), go.lookahead()],
    "LossScale": [go.LossScale(8.0, 3.0, 0.3, 2), go.LossScale()],
    "maximize": [go.maximize()],
    "scale": [go.scale(-0.3)],
    "skip_nonfinite": [go.skip_nonfinite()],
    "weight_decay": [go.weight_decay(0.1)],
}
EVERY_EXAMPLE = [piece for examples in EXAMPLES.values() for piece in examples]


def takes_complex(piece: Any) -> bool:
    """Whether it does not compare numbers."""
    return not isinstance(piece, (go.bounds, go.nonnegative))


def chained(piece: Any, rule: Any) -> Any:
    """The rule with the piece on its side."""
    return go.chain(piece, rule) if isinstance(piece, go.GradientPiece) else go.chain(rule, piece)
