"""What an update is: one class a rule or piece, the formula and nothing else.

Read :mod:`gpuopt.rules.descent` first; after its two rules you can write one.
"""

from gpuopt.rules import adaptive, base, compose, descent, formula, gradient_pieces, parameter_pieces, reductions
from gpuopt.rules.adaptive import *
from gpuopt.rules.base import *
from gpuopt.rules.compose import *
from gpuopt.rules.descent import *
from gpuopt.rules.formula import *
from gpuopt.rules.gradient_pieces import *
from gpuopt.rules.noise import standard_normal
from gpuopt.rules.parameter_pieces import *
from gpuopt.rules.reductions import *

__all__ = []
__all__ += formula.__all__
__all__ += base.__all__
__all__ += descent.__all__
__all__ += adaptive.__all__
__all__ += compose.__all__
__all__ += gradient_pieces.__all__
__all__ += parameter_pieces.__all__
__all__ += reductions.__all__
__all__ += ["standard_normal"]


def rules() -> dict[str, type[base.Rule]]:
    """Every rule of the library by its name, simplest first."""
    found = [item for module in (descent, adaptive) for item in vars(module).values() if isinstance(item, type)]
    return {cls.__name__: cls for cls in found if issubclass(cls, base.Rule) and cls is not base.Rule}


def pieces() -> dict[str, type[base.Piece]]:
    """Every piece of the library by its name."""
    found = [item for module in (gradient_pieces, parameter_pieces) for item in vars(module).values() if isinstance(item, type)]
    kinds = (base.Piece, base.GradientPiece, base.ParameterPiece)
    return {cls.__name__: cls for cls in found if issubclass(cls, base.Piece) and cls not in kinds}
