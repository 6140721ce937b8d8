"""The built documentation in Chromium, on a screen and on a phone, light and dark."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.browser import Visit, browser, marks, served

BUILT = ROOT / "docs" / "_build" / "html"
BUILD = "python -m sphinx -W -b html docs docs/_build/html"
pytestmark = [
    *marks(),
    pytest.mark.skipif(not (BUILT / "index.html").exists(), reason=f"the site is not built: {BUILD}"),
]
PAGES = {
    "": "First-order optimizers",
    "start.html": "What a gradient step is",
    "choosing-a-rule.html": "begin with",
    "generated/reference/rules-that-scale-each-element-s-step-by-its-own-second-moment.html": "beta2",
    "generated/gallery/ideas/plot_learning_rate.html": "learning rate",
}
"""Pages, and what stands on each."""
SIZES = {"screen-light": (1280, 900, "light"), "screen-dark": (1280, 900, "dark"), "phone": (390, 844, "light")}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(BUILT) as at:
        yield at


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(params=SIZES)
def visit(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Visit]:
    width, height, scheme = SIZES[request.param]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    yield Visit(context.new_page(), address)
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_accessible_and_as_wide_as_the_screen(visit: Visit, path: str, request: pytest.FixtureRequest) -> None:
    picture = f"docs-{request.node.callspec.id}".replace("/", "-")
    assert PAGES[path] in visit.open(path, "h1", picture)
    assert not visit.too_wide()
    assert visit.faults() == []


@pytest.mark.parametrize("path", ["", "start.html"])
def test_a_page_to_begin_with_is_small(chromium: Any, address: str, path: str) -> None:
    """As GitHub's pages are sent, compressed."""
    page, sizes = chromium.new_page(), list[int]()
    page.on("response", lambda answer: sizes.append(min(len(answer.body()), len(gzip.compress(answer.body())))))
    page.goto(address + path, wait_until="networkidle")
    page.close()
    assert len(sizes) > 5
    assert sum(sizes) < 500_000


def test_the_search_finds_a_rule(chromium: Any, address: str) -> None:
    visit = Visit(chromium.new_page(), address)
    visit.open("search.html?q=prodigy", "#search-results li")
    assert "gpuopt.Prodigy" in visit.page.locator("#search-results").inner_text()
