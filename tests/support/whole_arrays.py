"""Rules that call functions of whole arrays, as a user would write them."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuopt as go


@go.whole_array(outputs=4)
def factored(squares: Any, beta: Any, row: Any, col: Any) -> Any:
    row = beta * row + (1 - beta) * squares.mean(axis=-1, keepdims=True)
    col = beta * col + (1 - beta) * squares.mean(axis=-2, keepdims=True)
    return (row / row.mean(axis=-2, keepdims=True)) ** -0.5, col**-0.5, row, col


class Factored(go.Rule):
    """Adafactor in short: two small buffers, a number that depends on the step, a reduction of what was given."""

    lr: go.NonNegative = 0.1

    def update(
        self,
        t: Any,
        p: Any,
        g: Any,
        row: Any = go.buffer(lambda p: np.zeros_like(p.real[..., :1])),
        col: Any = go.buffer(lambda p: np.zeros_like(p.real[..., :1, :])),
    ) -> Any:
        r, c, row, col = factored(go.abs2(g) + 1e-3, 1 - t**-0.8, row, col)
        u = g * r * c
        return p - self.lr * u / np.maximum(1.0, np.sqrt(np.mean(go.abs2(u)))), row, col


@go.whole_array
def mixed(x: Any, size: Any = 1.0) -> Any:
    """A product of matrices."""
    return (x @ x.conj().T) @ x / size


@go.whole_array
def counted(seen: Any, x: Any) -> Any:
    return seen + x.shape[-1]


class Mixed(go.Rule):
    """A momentum before a product; an integer buffer; a norm of all arrays passed as a number."""

    lr: go.NonNegative = 0.01
    beta: go.Decay = 0.9

    def update(
        self, t: Any, p: Any, g: Any, m: Any = 0.0, seen: Any = go.buffer(lambda p: go.array_module(p).zeros((), "int64"))
    ) -> Any:
        m = self.beta * m + g
        return p - self.lr * mixed(m, size=1.0 + go.tree_norm(g)), m, counted(seen, m)


class Centered(go.Rule):
    """Reductions along axes, which are calls."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = 0.5 * m + (g - np.mean(g, axis=-1, keepdims=True)) / np.linalg.norm(g, axis=0, keepdims=True)
        return p - self.lr * m, m


RULES = [Factored(), Mixed(), Centered()]
