"""Handwritten digits, and a small network that learns to read them, with a backward pass in plain
code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, optional_import

__all__ = ["accuracy", "initial_params", "load_digits", "loss_and_grad"]


def load_digits(seed: int, xp: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """scikit-learn's 1797 digits of 8 x 8 pixels, 80 % for training and 20 % for the test, in
    float32 on `xp`.

    Returns
    -------
    (images, targets) for training, (images, targets) for the test
        Images are (n, 64) in [0, 1]; targets are (n, 10), 1 at the digit and 0 elsewhere.
    """
    digits = optional_import("sklearn.datasets", "the demo").load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = (digits.data[order] / 16).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[digits.target[order]]
    cut = len(order) * 4 // 5
    return (
        (xp.asarray(images[:cut]), xp.asarray(targets[:cut])),
        (xp.asarray(images[cut:]), xp.asarray(targets[cut:])),
    )


def initial_params(seed: int, xp: Any, hidden: int = 32, dtype: Any = np.float32) -> dict[str, Any]:
    """Weights of a 64-hidden-10 network, drawn on the host so that every backend starts at the same
    ones.
    """
    rng = np.random.default_rng(seed)
    # Variance 1 / inputs keeps the size of the signal from layer to layer (LeCun et al. 1998,
    # "Efficient BackProp").
    w1 = rng.normal(0.0, 64**-0.5, (64, hidden))
    w2 = rng.normal(0.0, hidden**-0.5, (hidden, 10))
    params = {"w1": w1, "b1": np.zeros(hidden), "w2": w2, "b2": np.zeros(10)}
    return {name: xp.asarray(value.astype(dtype)) for name, value in params.items()}


def loss_and_grad(params: dict[str, Any], x: Any, targets: Any) -> tuple[Any, dict[str, Any]]:
    """Mean cross-entropy of a batch, and its gradient. Nothing here waits for a GPU."""
    # Forward: dense, tanh, dense, softmax
    xp = array_module(x)
    h = xp.tanh(x @ params["w1"] + params["b1"])
    scores = h @ params["w2"] + params["b2"]
    scores -= scores.max(axis=1, keepdims=True)  # the softmax stays the same, exp cannot overflow
    exp = xp.exp(scores)
    total = exp.sum(axis=1, keepdims=True)
    loss = (targets * (xp.log(total) - scores)).sum() / len(x)

    # Backward, the same steps in reverse
    d_scores = (exp / total - targets) / len(x)
    d_h = (d_scores @ params["w2"].T) * (1 - h * h)
    grads = {
        "w1": x.T @ d_h,
        "b1": d_h.sum(axis=0),
        "w2": h.T @ d_scores,
        "b2": d_scores.sum(axis=0),
    }
    return loss, grads


def accuracy(params: dict[str, Any], x: Any, targets: Any) -> float:
    """The share of examples whose digit gets the highest score."""
    xp = array_module(x)
    scores = xp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
    return float((scores.argmax(axis=1) == targets.argmax(axis=1)).mean())
