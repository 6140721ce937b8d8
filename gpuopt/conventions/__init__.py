"""Calls of other libraries, with their names, arguments and defaults; each gives a rule with the
same numbers.

``go.conventions.keras.Adam(1e-3)`` is ``go.Adam`` with Keras' epsilon; `torch`, `optax`, `keras`
and `sklearn` have a function for each rule. Options keep the names of the library; an option that
is not available is refused with a remedy. The result is an ordinary rule or chain, and its repr is
the line to type. The names in it belong to `gpuopt`, except `VelocityOfSteps`, which belongs to
this package. Tests compare each of them with values of the libraries, made by
``tools/golden_conventions.py``. Imports: rules and schedules. `gpuopt` imports it at its first use.
"""

from typing import TYPE_CHECKING

from gpuopt.conventions import keras, optax, sklearn, torch
from gpuopt.conventions.common import VelocityOfSteps, show_arguments
from gpuopt.rules.elsewhere import not_in

__all__ = ["VelocityOfSteps", "keras", "optax", "sklearn", "torch"]

for _library in (keras, optax, optax.contrib, sklearn, torch):
    show_arguments(_library)
if not TYPE_CHECKING:  # to a type checker any name would then be one of the module's
    __getattr__ = not_in(__name__, __all__)
