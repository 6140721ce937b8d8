"""The update rules and pieces: one class for each, the formula and nothing else.

Read :mod:`gpuopt.rules.descent` first; after its two rules you can write one. Comes in: the values
of hyperparameters. Imports: NumPy, and the random bits of `arrays`.
"""

from gpuopt.rules import catalogue
from gpuopt.rules.accumulating import AdaDelta, AdaGrad, MadGrad
from gpuopt.rules.adaptive import Adam, AdamW, RMSProp
from gpuopt.rules.by_loss import Momo, PolyakStep
from gpuopt.rules.chains import Chain, chain
from gpuopt.rules.constraint_pieces import bounds, disk, l1, nonnegative, support, unit_modulus
from gpuopt.rules.descent import SGD, GradientDescent, Momentum
from gpuopt.rules.distances import DAdaptAdam, DoG, Prodigy
from gpuopt.rules.factored import CAME, Adafactor
from gpuopt.rules.first_moments import Adan, AdEMAMix, LaProp, QHAdam
from gpuopt.rules.gradient_pieces import (
    centralize,
    clip,
    clip_global_norm,
    clip_norm,
    gradient_noise,
    maximize,
    scale,
    weight_decay,
)
from gpuopt.rules.group_pieces import group_l1, norm_ball, simplex
from gpuopt.rules.layerwise import LAMB, LARS, NovoGrad, StableAdamW
from gpuopt.rules.looking_ahead import AcceleratedGradient, NAdam
from gpuopt.rules.loss_pieces import backtrack
from gpuopt.rules.matrices import Muon
from gpuopt.rules.noise import standard_normal
from gpuopt.rules.parameter_pieces import average, decoupled_weight_decay, lookahead
from gpuopt.rules.partitions import Partition, partition
from gpuopt.rules.piece import GradientPiece, ParameterPiece, StepPiece
from gpuopt.rules.preconditioners import SOAP, Shampoo
from gpuopt.rules.ranges import Bound, Decay, Hyper, NonNegative, Positive
from gpuopt.rules.rates import AdaBound, RAdam
from gpuopt.rules.reductions import tree_max, tree_mean, tree_norm, tree_sum
from gpuopt.rules.rule import Rule, abs2, debias
from gpuopt.rules.scaling_pieces import cautious, trust_ratio, update_clip
from gpuopt.rules.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from gpuopt.rules.second_moments import ADOPT, AdaBelief, Adamax, Yogi
from gpuopt.rules.signs import Lion, Rprop, SignSGD, Signum
from gpuopt.rules.slices import SM3, AdamMini
from gpuopt.rules.step_pieces import LossScale, accumulate, freeze, skip_nonfinite
from gpuopt.rules.step_sizes import COCOB, BarzilaiBorwein
from gpuopt.rules.tuples import each
from gpuopt.rules.variation_pieces import total_variation
from gpuopt.rules.velocities import ASGD, QHM, AggMo, OptimisticGradient
from gpuopt.rules.whole_arrays import buffer, whole_array

__all__ = [
    "ADOPT",
    "ASGD",
    "CAME",
    "COCOB",
    "LAMB",
    "LARS",
    "QHM",
    "SGD",
    "SM3",
    "SOAP",
    "AcceleratedGradient",
    "AdEMAMix",
    "AdaBelief",
    "AdaBound",
    "AdaDelta",
    "AdaGrad",
    "Adafactor",
    "Adam",
    "AdamMini",
    "AdamW",
    "Adamax",
    "Adan",
    "AggMo",
    "BarzilaiBorwein",
    "Bound",
    "Chain",
    "DAdaptAdam",
    "Decay",
    "DoG",
    "GradientDescent",
    "GradientPiece",
    "Hyper",
    "LaProp",
    "Lion",
    "LossScale",
    "MadGrad",
    "Momentum",
    "Momo",
    "Muon",
    "NAdam",
    "NonNegative",
    "NovoGrad",
    "OptimisticGradient",
    "ParameterPiece",
    "Partition",
    "PolyakStep",
    "Positive",
    "Prodigy",
    "QHAdam",
    "RAdam",
    "RMSProp",
    "Rprop",
    "Rule",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignSGD",
    "Signum",
    "StableAdamW",
    "StepPiece",
    "Yogi",
    "abs2",
    "accumulate",
    "average",
    "backtrack",
    "bounds",
    "buffer",
    "cautious",
    "centralize",
    "chain",
    "clip",
    "clip_global_norm",
    "clip_norm",
    "debias",
    "decoupled_weight_decay",
    "disk",
    "each",
    "freeze",
    "gradient_noise",
    "group_l1",
    "l1",
    "lookahead",
    "maximize",
    "nonnegative",
    "norm_ball",
    "partition",
    "scale",
    "simplex",
    "skip_nonfinite",
    "standard_normal",
    "support",
    "total_variation",
    "tree_max",
    "tree_mean",
    "tree_norm",
    "tree_sum",
    "trust_ratio",
    "unit_modulus",
    "update_clip",
    "weight_decay",
    "whole_array",
]

USUAL = catalogue.USUAL
rules, whole_array_rules = catalogue.rules, catalogue.whole_array_rules
pieces, whole_array_pieces = catalogue.pieces, catalogue.whole_array_pieces
every_piece = catalogue.every_piece
