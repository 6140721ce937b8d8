"""Pictures of a page, made by the code on the page."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
FOLDER = DOCS / "generated"
PAGES = ("start",)


def draw(page: str) -> list[Path]:
    """Run a page's Python; save each figure as ``generated/PAGE-NUMBER.png``."""
    import matplotlib.pyplot as plt
    from PIL import Image

    plt.switch_backend("agg")
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {"__name__": page}
    saved: list[Path] = []
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(block, scope)
        for number in plt.get_fignums():
            saved.append(FOLDER / f"{page}-{len(saved) + 1}.png")
            plt.figure(number).savefig(saved[-1], dpi=150)
            with Image.open(saved[-1]) as picture:  # a palette takes a third of the bytes
                picture.convert("RGB").quantize(128).save(saved[-1], optimize=True)
        plt.close("all")
    return saved


def _here(app: Any, name: str, source: list[str]) -> None:
    """Show what the build has drawn, not the copy for readers on GitHub."""
    if name in PAGES:
        source[0] = source[0].replace(f"]({name}-", f"](generated/{name}-")


def _draw_all(app: Any, config: Any) -> None:
    FOLDER.mkdir(exist_ok=True)
    for page in PAGES:
        draw(page)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", _draw_all)
    app.connect("source-read", _here)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
