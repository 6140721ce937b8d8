"""The gallery's pages in order, and how their figures are shown."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from sphinx.errors import ConfigError
from sphinx_gallery.scrapers import matplotlib_scraper

ORDER: dict[str, list[str]] = {
    "ideas": [
        "plot_learning_rate.py",
        "plot_momentum.py",
        "plot_local_minimum.py",
        "plot_rmsprop.py",
        "plot_adam.py",
        "plot_batches.py",
        "plot_amsgrad.py",
        "plot_schedule_free.py",
    ],
    "problems": [
        "plot_batch_sizes.py",
        "plot_digits.py",
        "plot_muon.py",
        "plot_spector.py",
        "plot_lasso.py",
        "plot_deconvolution.py",
        "plot_tomography.py",
        "plot_ptychography.py",
    ],
}
"""Each folder, and its pages, as a reader should meet them."""
ROOT, HEADER = Path(__file__).parents[1] / "gallery", "GALLERY_HEADER.rst"


class Order:
    """sphinx-gallery's key of a page; it asks for one object a folder."""

    def __init__(self, folder: str) -> None:
        self.pages = ORDER.get(Path(folder).name, [])

    def __call__(self, name: str) -> int:
        """The place of a page."""
        return self.pages.index(Path(name).name)


def order_of_folders(folder: str) -> int:
    """The place of a folder."""
    return list(ORDER).index(Path(folder).name)


def check_order(app: Any, config: Any) -> None:
    """Refuse to build if a page is not listed, or a listed one is not there; a folder without a header would be left out."""
    there = {path.relative_to(ROOT).as_posix() for name in ("plot_*.py", HEADER) for path in ROOT.glob(f"*/{name}")}
    listed = [f"{folder}/{page}" for folder, pages in ORDER.items() for page in (HEADER, *pages)]
    if wrong := there ^ set(listed) or {page for page in listed if listed.count(page) > 1}:
        raise ConfigError(f"list each page of docs/gallery once in docs/_ext/gallery.py: {', '.join(sorted(wrong))}")
    for page in ROOT.parent.glob("generated/gallery/*/plot_*.rst"):
        if f"{page.parent.name}/{page.stem}.py" not in there:
            page.unlink()  # an earlier build had it


_OUTSIDE: list[Any] = []
"""The filters of warnings as Sphinx has them, while an example runs."""


def strictly(conf: dict[str, Any], name: str, when: str) -> None:
    """Make a warning in an example an error, as it is in the tests."""
    if when == "before":
        _OUTSIDE.append(warnings.filters[:])
        warnings.simplefilter("error")
    else:
        warnings.filters[:] = _OUTSIDE.pop()  # type: ignore[index]  # the list that it is


MOVIE = """
.. image:: /{path}.gif
   :alt: Animation: {title}
   :class: sphx-glr-single-img motion

.. image:: /{path}.png
   :alt: {title}
   :class: sphx-glr-single-img still
   :loading: lazy

"""


def figures(block: Any, variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """Save a block's figures. An animation becomes a GIF that plays three times, and a still for readers who want no motion."""
    import matplotlib.pyplot as plt
    from matplotlib.animation import Animation
    from PIL import Image

    shown = ""
    for movie in {id(item): item for item in variables["example_globals"].values() if isinstance(item, Animation)}.values():
        figure = movie._fig  # type: ignore[attr-defined]  # sphinx-gallery's own scraper reads it, too
        if not plt.fignum_exists(figure.number) or plt.figure(figure.number) is not figure:
            continue  # it was shown before, and another figure has its number
        still = Path(next(variables["image_path_iterator"]))
        moving = still.with_suffix(".gif")
        movie.save(moving, writer="pillow", dpi=100)
        with Image.open(io.BytesIO(moving.read_bytes())) as gif:  # not of the file, which is written while frames are read
            gif.save(moving, save_all=True, loop=2)
        figure.savefig(still, dpi=100)
        plt.close(figure)
        title = figure.axes[0].get_title(loc="left") or figure.axes[0].get_title()
        path = still.with_suffix("").relative_to(conf["src_dir"]).as_posix()
        shown += MOVIE.format(path=path, title=" ".join(title.split()))
    return shown + matplotlib_scraper(block, variables, conf)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", check_order)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
