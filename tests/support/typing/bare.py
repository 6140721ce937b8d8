"""Right code of a user who annotates hyperparameters alone; checked without the demand for annotated functions. It runs."""

import numpy as np

import gpuopt as go


class Sign(go.Rule):
    lr: go.NonNegative = 0.01
    beta: go.Decay = 0.9
    dampening: go.Decay | None = None
    limit: go.Bound = 1e9

    def update(self, t, p, g, m=0.0, v=0.0):
        share = 1 - self.beta
        share = share * g
        rate = self.lr
        rate = rate / t**0.5
        m = self.beta * m + share
        v = self.beta * v + (1 - (self.beta if self.dampening is None else self.dampening)) * go.abs2(g)
        step = np.where(np.abs(m) < self.limit, np.sign(m), 0.0)
        step = step * self.lr ** (1 + self.beta)
        step = step + 0 * rate * np.sqrt(self.lr) * go.debias(v, self.beta, t) * np.exp(-self.lr * t)
        return p - np.where(self.lr > 0, step, 0.0), m, v


class shorter(go.GradientPiece):
    most: go.Positive

    def update(self, t, p, g):
        return np.minimum(1.0, self.most / go.tree_norm(g)) * g


class towards_zero(go.ParameterPiece):
    amount: go.NonNegative = 0.1

    def update(self, t, p, new):
        amount = self.amount if t is None else self.rule.lr * self.amount
        return new - amount * p


x = np.ones(3)
opt = go.chain(shorter(1.0), Sign(0.1), towards_zero()).init(x)
opt.step(np.ones(3))
print(Sign(lr=lambda step: 0.1 / (1 + step)).init({"x": x}), opt.t)
