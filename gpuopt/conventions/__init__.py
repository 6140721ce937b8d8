"""Other libraries' calls: their names, arguments and defaults, and a rule of gpuopt with the same
numbers.

``go.conventions.keras.Adam(1e-3)`` is ``go.Adam`` with Keras' epsilon; `torch`, `optax`, `keras`
and `sklearn` have a function for each rule. What a library calls its option keeps its name; an
option that is not available is refused with a remedy. The result is an ordinary rule or chain, and
its repr the line to type: its names are of `gpuopt`, but `VelocityOfSteps` is of this package.
Golden values, made by ``tools/golden_conventions.py`` from the libraries, hold each of them.
Imports: rules and schedules. `gpuopt` imports it when it is asked for.
"""

from gpuopt.conventions import keras, optax, sklearn, torch
from gpuopt.conventions.common import VelocityOfSteps

__all__ = ["VelocityOfSteps", "keras", "optax", "sklearn", "torch"]
