"""Mistakes in the formulas of single rules."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "momentum one update ahead by the weights of this one",
        "_step",
        "_1 / (_1 + (1 - rule.beta1)) * m",
        "rule.beta1 * m",
        "test_bits::test_formula",
    ),
    Mistake(
        "an epsilon in the root that is not corrected",
        "_step",
        "rule.eps_in_root * w2",
        "rule.eps_in_root",
        "test_bits::test_formula",
    ),
    Mistake(
        "an initial value in every step",
        "at_first",
        "np.where(t == 1, _1, _2)",
        "np.where(t >= 1, _1, _2)",
        "test_bits::test_formula",
    ),
    Mistake(
        "a learning rate that decays a step early",
        "AdaGrad.update",
        "(t - 1) * _1",
        "t * _1",
        "test_bits::test_formula",
    ),
    Mistake(
        "AdaDelta's average of gradients in place of steps",
        "AdaDelta.update",
        "abs2(d)",
        "abs2(g)",
        "test_bits::test_formula",
    ),
    Mistake(
        "the deviation from the average before",
        "AdaBelief.update",
        "abs2(g - m)",
        "abs2(g)",
        "test_bits::test_formula",
    ),
    Mistake(
        "a second moment that only grows",
        "Yogi.update",
        "v - _1 * np.sign(_2) * _3",
        "v + _1 * np.abs(np.sign(_2)) * _3",
        "test_bits::test_formula",
    ),
    Mistake(
        "a clip that opens a step early",
        "ADOPT.update",
        "(t - 1) ** 0.25",
        "t ** 0.25",
        "test_bits::test_formula",
    ),
    Mistake(
        "a scaled gradient that is not corrected",
        "LaProp.update",
        "root * g",
        "g",
        "test_bits::test_formula",
    ),
    Mistake(
        "a change of the gradient in the first step",
        "Adan.update",
        "at_first(t, 0.0, _1)",
        "_1",
        "test_bits::test_formula",
    ),
    Mistake(
        "a slow average that is corrected",
        "AdEMAMix.update",
        "alpha * w1 * slow",
        "alpha * slow",
        "test_bits::test_formula",
    ),
    Mistake(
        "a warm-up by the decay, not by its half-life",
        "AdEMAMix._mixture",
        "np.exp(_1)",
        "part * self.beta3 + (1 - part) * self.beta1",
        "test_bits::test_formula",
    ),
    Mistake(
        "bounds that start closed",
        "AdaBound.update",
        "1 + 1 / _1",
        "1",
        "test_bits::test_formula",
    ),
    Mistake(
        "a rectification that never ends",
        "RAdam.update",
        "rho > self.threshold",
        "rho > t + self.threshold",
        "test_bits::test_formula",
    ),
    Mistake(
        "Lion's two decays swapped",
        "Lion.update",
        "self.beta2 * m + (1 - self.beta2) * g",
        "self.beta1 * m + (1 - self.beta1) * g",
        "test_bits::test_formula",
    ),
    Mistake(
        "a first step without its last gradient",
        "OptimisticGradient.update",
        "at_first(t, g, last)",
        "last",
        "test_bits::test_formula",
    ),
    Mistake(
        "a ratio of norms without its exception",
        "_ratio",
        "np.where(_1, _2, 1.0)",
        "_2",
        "test_rules::test_long_runs_of_one_gradient",
    ),
    Mistake(
        "a learning rate outside of LARS' momentum",
        "LARS.update",
        "self.lr * _ratio(self.trust, p, h, self.eps) * h",
        "_ratio(self.trust, p, h, self.eps) * h",
        "test_bits::test_formula",
    ),
    Mistake(
        "a length of LAMB's average, not of its step",
        "LAMB.update",
        "_ratio(1.0, p, u, 0.0)",
        "_ratio(1.0, p, m, 0.0)",
        "test_bits::test_formula",
    ),
    Mistake(
        "a surprising gradient that makes steps larger",
        "StableAdamW.update",
        "np.maximum(surprise, 1.0)",
        "surprise",
        "test_bits::test_formula",
    ),
]
