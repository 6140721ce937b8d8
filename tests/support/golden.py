"""The calls of other libraries whose results `tools/golden_conventions.py` keeps, and what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS = 8
CALLS = {
    "torch": [
        "SGD(0.1)",
        "SGD(0.1, momentum=0.9)",
        "SGD(0.1, 0.9, 0.5, 0.01)",
        "SGD(0.1, momentum=0.9, nesterov=True, maximize=True, weight_decay=0.1, foreach=True)",
        "Adam()",
        "Adam(0.01, (0.8, 0.99), 1e-3, 0.1)",
        "Adam(0.01, weight_decay=0.1, decoupled_weight_decay=True)",
        "Adam(0.01, amsgrad=True)",
        "AdamW(0.01)",
        "AdamW(0.01, weight_decay=0.1, amsgrad=True, maximize=True)",
        "RMSprop()",
        "RMSprop(0.01, 0.9, 1e-3, 0.1, 0.9, True)",
        "Adagrad(0.1, 0.5, 0.01, 0.3, 1e-3)",
        "Adadelta(0.5, 0.8, 1e-3, 0.1)",
        "Adamax(0.01, weight_decay=0.1)",
        "RAdam(0.01, (0.9, 0.99), weight_decay=0.1, decoupled_weight_decay=True)",
        "RAdam(0.01, weight_decay=0.1)",
        "Rprop()",
        "Rprop(0.1, (0.4, 1.3), (1e-3, 0.2))",
        "ASGD(0.1, 0.01, 0.5, 2.0, 0.1)",
        "NAdam()",
        "NAdam(0.01, (0.8, 0.99), 1e-3, 0.1, 0.01, True)",
        "Adafactor(0.05, -0.7, (1e-4, 1e-2), 1.5, 0.1)",
        "Muon()",
        "Muon(0.1, 0.2, 0.8, False, eps=1e-3, ns_steps=3, adjust_lr_fn='match_rms_adamw')",
    ],
    "optax": [
        "sgd(0.1)",
        "sgd(0.1, 0.9, True)",
        "sgd(falling, momentum=0.9)",
        "sign_sgd(0.1)",
        "optimistic_gradient_descent(0.1, 0.8, 1.3)",
        "rmsprop(0.01)",
        "rmsprop(0.01, 0.8, 1e-3, 0.5, False, True, 0.9)",
        "adam(0.01)",
        "adam(0.01, 0.8, 0.99, 1e-3, 1e-2, nesterov=True)",
        "adamw(0.01)",
        "adamw(0.01, weight_decay=0.1, nesterov=True)",
        "nadam(0.01)",
        "nadamw(0.01)",
        "adamax(0.01)",
        "adamaxw(0.01, weight_decay=0.1)",
        "adabelief(0.01)",
        "yogi(0.01)",
        "lion(0.01)",
        "radam(0.01, 0.9, 0.99, 1e-2)",
        "adagrad(0.1)",
        "adadelta(1.0)",
        "adadelta(0.5, weight_decay=0.1)",
        "lars(0.1, 0.1)",
        "lamb(0.01, weight_decay=0.1)",
        "novograd(0.01, weight_decay=0.1)",
        "sm3(0.1, 0.8)",
        "polyak_sgd(0.3, f_min=0.1, eps=0.2)",
        "contrib.adopt(0.01)",
        "contrib.adopt(0.01, use_clipping=False)",
        "contrib.ademamix(0.01, weight_decay=0.1)",
        "contrib.dog(0.5, ('heuristic', 1e-3), 1e-4, 0.1)",
        "contrib.prodigy(estim_lr0=1e-3, weight_decay=0.1)",
        "contrib.dadapt_adamw(estim_lr0=1e-3, weight_decay=0.1)",
        "contrib.cocob()",
        "contrib.cocob(0.5, 10.0, weight_decay=0.1)",
        "contrib.madgrad(in_double(0.1), 0.8, weight_decay=0.1)",
        "contrib.momo(0.5, 0.8, 0.05)",
        "contrib.schedule_free_sgd(0.1, weight_decay=0.1, weight_lr_power=1.0)",
        "contrib.schedule_free_adamw(0.01, weight_decay=0.1)",
    ],
    "keras": [
        "SGD(0.1)",
        "SGD(0.1, momentum=0.9)",
        "SGD(falling, momentum=0.9, nesterov=True)",
        "SGD(0.1, clipvalue=0.5)",
        "SGD(0.1, clipnorm=1.0)",
        "SGD(0.1, global_clipnorm=1.0, weight_decay=0.1)",
        "SGD(0.1, gradient_accumulation_steps=2, loss_scale_factor=4.0)",
        "RMSprop(0.01)",
        "RMSprop(0.01, rho=0.8, momentum=0.9, centered=True, weight_decay=0.1)",
        "Adam()",
        "Adam(0.01, 0.8, 0.99, 1e-2, weight_decay=0.1)",
        "Adam(0.01, amsgrad=True)",
        "AdamW(0.01)",
        "Adagrad(0.1)",
        "Adadelta(0.5)",
        "Lion(0.01, weight_decay=0.1)",
        "Nadam(0.01)",
        "Lamb(0.01, 0.8, 0.99, 1e-3, clipvalue=0.5)",
    ],
    "sklearn": [
        "SGDOptimizer(0.1)",
        "SGDOptimizer(momentum=0.8, nesterov=False)",
        "SGDOptimizer(0.1, momentum=0.0)",
        "AdamOptimizer()",
        "AdamOptimizer(0.01, 0.8, 0.99, 1e-2)",
    ],
}


LOSSES = [4.0 * 0.7**k for k in range(STEPS)]


def start(call: str) -> list[Any]:
    """Where the parameters begin: two arrays in float64, one for a rule of matrices alone."""
    arrays = [np.linspace(-1.0, 2.0, 6).reshape(2, 3), np.array([0.5, -0.25, 0.125])]
    return arrays[: 1 if "Muon" in call else 2]


def gradients(call: str) -> list[list[Any]]:
    """Of each step, from large ones to small ones."""
    return [[3.0 * 0.4**k * np.sin(1 + 7 * p + 5 * k) for p in start(call)] for k in range(STEPS)]
