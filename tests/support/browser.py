"""Pages in Chromium: served, opened, and looked at for whatever went wrong on them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
WANTED = {
    "no Chromium was found (set CHROMIUM)": CHROMIUM,
    "the Python package playwright is not installed": importlib.util.find_spec("playwright"),
    "neither npm nor GPUOPT_ASV_ASSETS is there": os.environ.get("GPUOPT_ASV_ASSETS") or shutil.which("npm"),
}
AXE = ("axe-core@4.11.0", "axe.min.js", "sha256-6eWGPDOodPCbwBrNkjS348hxR59e74gC+lglREZebQE=")


def marks(**more: object) -> list[pytest.MarkDecorator]:
    """What a module with tests in a browser is marked with; `more` are packages that it wants, or None."""
    wanted = WANTED | {f"the Python package {name} is not installed": found for name, found in more.items()}
    missing = [reason for reason, found in wanted.items() if not found]
    return [
        pytest.mark.skipif(bool(missing), reason="; ".join(missing)),
        # Playwright's event loop leaves sockets to the garbage collector.
        pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    ]


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=quiet)
        yield opened
        opened.close()


@contextlib.contextmanager
def served(html: Path) -> Iterator[str]:
    """The address of a folder's pages."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory", str(html)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


def axe() -> str:
    """The script that finds faults of accessibility; kept where the scripts of asv's pages are."""
    tools = str(ROOT / "asv_bench" / "tools")
    sys.path.insert(0, tools)
    try:
        offline = importlib.import_module("offline")
    finally:
        sys.path.remove(tools)
    package, path, integrity = AXE
    return str(offline.fetch(offline.Asset(package, path, integrity), integrity).decode())


class Visit:
    """A page that was opened, with all that went wrong on it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        self.remote: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("response", lambda r: self.errors.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on("request", self._request)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.remote.append(request.url)

    def open(self, path: str, wait_for: str, picture: str = "") -> str:
        """Go there, wait until something shows, and hold that nothing went wrong; the visible text."""
        self.page.goto("about:blank")
        self.page.goto(self.address + path, wait_until="networkidle")
        self.page.locator(wait_for).first.wait_for(state="visible", timeout=15_000)
        assert self.errors == []
        assert self.remote == []
        assert "error.html" not in self.page.url
        if picture and (folder := os.environ.get("GPUOPT_SCREENSHOTS")):
            self.page.screenshot(path=str(Path(folder) / f"{picture}.png"), full_page=True)
        return str(self.page.locator("body").inner_text())

    def faults(self) -> list[Any]:
        """What axe finds wrong with the page as it is shown now."""
        self.page.evaluate(axe())
        return list(self.page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"))

    def too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth") > self.page.viewport_size["width"])
