"""Pictures of what optimizers do: `contours`, `landscape`, `compare`, `schedule`, `images`, `live`;
`animate` makes them move.

Each returns the axes of matplotlib, for more of your own. They look the same on the pages of this
project: `style` is a context that makes other figures look so, too.

>>> import gpuopt as go
>>> with go.plot.style(dark=True):
...     pass  # figures of matplotlib

Needs matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuopt.plot.curves import compare, schedule
from gpuopt.plot.images import images
from gpuopt.plot.look import style
from gpuopt.plot.moving import animate
from gpuopt.plot.notebooks import live
from gpuopt.plot.surfaces import contours, landscape
from gpuopt.rules.elsewhere import not_in

__all__ = ["animate", "compare", "contours", "images", "landscape", "live", "schedule", "style"]

if not TYPE_CHECKING:  # to a type checker any name would then be one of the module's
    __getattr__ = not_in(__name__, __all__)
