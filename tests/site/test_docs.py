"""The site of the documentation: its pages stand in order, and what is built needs nothing but itself.

What is built is looked for in docs/_build/html.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
DOCS, BUILT = ROOT / "docs", ROOT / "docs" / "_build" / "html"
ORDER = [
    *("guide", "start", "install", "choosing-a-rule", "training", "minimize"),
    *("composition", "constraints", "gradients", "rows", "mixed-precision", "checkpoints"),
    *("gpu", "cuda-graphs", "pytorch", "scikit-learn", "distributed", "scale"),
    *("your-own-rule", "performance", "benchmarks", "coming-from"),
    *("examples", "science", "generated/gallery/index", "pictures", "architecture", "reference", "changelog"),
]
"""The pages as one reads them, one after another."""
BUILD = "python -m sphinx -W -b html docs docs/_build/html"
built = pytest.mark.skipif(not (BUILT / "index.html").exists(), reason=f"the site is not built: {BUILD}")


def contents(page: str) -> list[str]:
    """The pages in the tables of contents of a page."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    entries = "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line for line in entries.splitlines() if line and not line.startswith(":")]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


def walk(page: str) -> Iterator[str]:
    for entry in contents(page):
        yield entry
        if not entry.startswith("generated/"):
            yield from walk(entry)


def test_the_pages_stand_in_order_and_none_is_missing() -> None:
    found = list(walk("index"))
    assert [page for page in found if not page.startswith("generated/reference/")] == ORDER
    written = {page for page in found if not page.startswith("generated/")}
    assert written | {"index"} == {path.stem for path in DOCS.glob("*.md")}


class Page(HTMLParser):
    """A built page: its anchors, where its links lead, and the files that it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not {"search", "next", "prev", "index", "author"} & set(given.get("rel", "").split()):
            self.loads.append(given["href"])
        self.loads += [given[name] for name in ("src", "data", "poster") if name in given]
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part]


PAGES = [path for path in sorted(BUILT.rglob("*.html")) if "_static" not in path.parts]


@functools.cache
def parsed(path: Path) -> Page:
    return Page(path)


@built
def test_every_link_inside_of_the_site_leads_to_a_page_and_an_anchor() -> None:
    wrong = []
    for path in PAGES:
        for link in parsed(path).links:
            at = urlsplit(link)
            if at.scheme or at.netloc:
                continue
            target = (path.parent / unquote(at.path)).resolve() if at.path else path
            there = target / "index.html" if target.is_dir() else target
            if not there.exists() or (at.fragment and unquote(at.fragment) not in parsed(there).anchors):
                wrong.append(f"{path.relative_to(BUILT)}: {link}")
    assert wrong == []


@built
def test_nothing_is_loaded_from_elsewhere_and_all_that_is_loaded_is_there() -> None:
    wrong = []
    for path in PAGES:
        for address in parsed(path).loads:
            at = urlsplit(address)
            if at.scheme != "data" and (at.netloc or not (path.parent / unquote(at.path)).exists()):
                wrong.append(f"{path.relative_to(BUILT)}: {address}")
    styles = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')]+)")
    for style in BUILT.rglob("*.css"):
        wrong += [f"{style.name}: {url}" for url in styles.findall(style.read_text(encoding="utf-8"))]
    assert wrong == []


@built
def test_every_page_was_built_and_has_a_title() -> None:
    for page in ORDER:
        assert re.search("<h1>.", (BUILT / f"{page}.html").read_text(encoding="utf-8")), page


@built
def test_animations_move_three_times_and_stand_still() -> None:
    movies = sorted((BUILT / "_images").glob("*.gif"))
    assert movies
    for path in movies:
        with Image.open(path) as movie:
            assert getattr(movie, "n_frames", 1) > 10, path.name
            assert movie.info["loop"] == 2, path.name  # twice more
