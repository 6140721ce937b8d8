"""What other libraries call arguments and rules, and what that is here: tables for messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["AROUND", "ELSEWHERE", "INIT", "NAMES", "NOTHING", "SETTINGS", "TUPLES"]

NAMES = {
    "learning_rate": ("lr", "factor"),
    "learning_rate_init": ("lr",),
    "step_size": ("lr", "factor"),
    "eta": ("lr",),
    "alpha": ("beta", "lr"),
    "rho": ("beta",),
    "decay": ("beta",),
    "decay_rate": ("beta",),
    "momentum": ("beta", "decay"),
    "ema_momentum": ("decay",),
    "mu": ("beta",),
    "beta": ("beta1", "decay"),
    "beta_1": ("beta1", "beta"),
    "beta_2": ("beta2",),
    "b1": ("beta1", "beta"),
    "b2": ("beta2",),
    "epsilon": ("eps",),
    "wd": ("weight_decay",),
    "clipvalue": ("value",),
    "clip_value": ("value",),
    "max_delta": ("value",),
    "max_norm": ("value",),
    "clipnorm": ("max_norm", "value"),
    "global_clipnorm": ("max_norm",),
    "b3": ("beta3",),
    "eps_root": ("eps_in_root",),
    "eps_in_sqrt": ("eps_in_root",),
    "initial_accumulator_value": ("initial",),
    "initial_scale": ("initial",),
    "use_clipping": ("clipped",),
    "trust_coefficient": ("trust",),
    "eta_minus": ("shrink",),
    "eta_plus": ("grow",),
    "min_step_size": ("low",),
    "max_step_size": ("high",),
    "max_learning_rate": ("lr",),
    "d0": ("first",),
    "estim_lr0": ("first",),
    "warmup_steps": ("warmup",),
    "weight_lr_power": ("power",),
    "sync_period": ("k",),
    "slow_step_size": ("alpha",),
    "min": ("lo",),
    "max": ("hi",),
}
"""The names of other libraries, and what they may be here: the first that a class has."""

SETTINGS = {
    **dict.fromkeys(("m", "maxcor", "history_size", "memory_size"), ("memory",)),
    **dict.fromkeys(("dimension", "dim", "ndim", "n"), ("size",)),
    **dict.fromkeys(("rule", "method", "optimizer", "opt"), ("rule", "method")),
}
"""The same for arguments that are not hyperparameters."""

AROUND: dict[str, Callable[[str, Mapping[str, str]], tuple[bool, str]]] = {
    "maximize": lambda text, given: (True, "gpuopt.maximize()"),
    "gradient_accumulation_steps": lambda text, given: (True, f"gpuopt.accumulate({text})"),
    "clipvalue": lambda text, given: (True, f"gpuopt.clip({text})"),
    "clipnorm": lambda text, given: (True, f"gpuopt.clip_norm({text}, eps=0.0)"),
    "global_clipnorm": lambda text, given: (True, f"gpuopt.clip_global_norm({text}, eps=0.0)"),
    "weight_decay": lambda text, given: (True, f"gpuopt.weight_decay({text})"),
    "use_ema": lambda text, given: (False, f"gpuopt.average({given.get('ema_momentum', '0.99')})"),
}
"""Options that are pieces of a chain: whether before the rule, and the code. In their order."""

INIT = ("hyper", "master", "stochastic_rounding", "seed", "state_dtype", "capturable")
TUPLES = {
    "betas": ("beta1", "beta2", "beta3"),
    "etas": ("shrink", "grow"),
    "step_sizes": ("low", "high"),
}
"""Several numbers in one argument, and what each of them is here, where a class has the second."""
NOTHING = (
    "foreach",
    "fused",
    "differentiable",
    "name",
    "jit_compile",
    "ema_momentum",
    "ema_overwrite_frequency",
    "decoupled_weight_decay",
    "mu_dtype",
    "accumulator_dtype",
)
"""Options of other libraries that choose nothing here."""

ELSEWHERE = {
    "sgdm": "Momentum(dampening=0.0)",
    "heavyball": "Momentum(dampening=0.0)",
    "nag": "Momentum(dampening=0.0, nesterov=True)",
    "nesterov": "Momentum(dampening=0.0, nesterov=True)",
    "amsgrad": "Adam(amsgrad=True)",
    "nadamw": "AdamW(nesterov=True)",
    "ema": "average(0.99)",
    "swa": "average()",
    "averagedmodel": "average()",
    "gradscaler": "LossScale()",
    "clip_by_global_norm": "clip_global_norm(1.0, eps=0.0)",
    "clip_grad_norm_": "clip_global_norm(1.0)",
    "clip_grad_value_": "clip(1.0)",
    "add_decayed_weights": "weight_decay(0.01)",
    "add_noise": "gradient_noise()",
    "apply_if_finite": "skip_nonfinite()",
    "multisteps": "accumulate(4)",
    "set_to_zero": "freeze('*')",
    "keep_params_nonnegative": "bounds(lo=0.0)",
    "multi_transform": "partition({'*': gpuopt.Adam()})",
    "param_groups": "partition({'*': gpuopt.Adam()})",
    "steplr": "schedules.Step(0.1, 30)",
    "exponentiallr": "schedules.Exponential(0.1, 0.99)",
    "cosineannealinglr": "schedules.Cosine(0.1, 100)",
    "onecyclelr": "schedules.OneCycle(0.1, 100)",
}
"""What other libraries export, in lower case, and an example of what it is here."""
