"""What an update is: one class a rule, the formula and nothing else.

Read :mod:`gpuopt.rules.descent` first; after its two rules you can write one.
"""

from gpuopt.rules import adaptive, base, descent
from gpuopt.rules.adaptive import *
from gpuopt.rules.base import *
from gpuopt.rules.descent import *

__all__ = []
__all__ += base.__all__
__all__ += descent.__all__
__all__ += adaptive.__all__


def rules() -> dict[str, type[base.Rule]]:
    """Every rule of the library by its name, simplest first."""
    found = [item for module in (descent, adaptive) for item in vars(module).values() if isinstance(item, type)]
    return {cls.__name__: cls for cls in found if issubclass(cls, base.Rule) and cls is not base.Rule}
