"""Pages that load nothing from elsewhere: what offline.py makes of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "asv_bench" / "tools"
if not TOOLS.is_dir():
    pytest.skip("asv_bench is not part of this distribution", allow_module_level=True)

JQUERY = "https://code.jquery.com/jquery-3.3.1.min.js"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """offline.py, with jquery in its cache as three bytes, and no npm."""
    kept = tmp_path / "assets" / "jquery@3.3.1" / "dist" / "jquery.min.js"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"abc")
    monkeypatch.setenv("GPUOPT_ASV_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("offline")


def published(tmp_path: Path, head: str) -> Path:
    html = tmp_path / "html"
    html.mkdir()
    (html / "index.json").write_text("{}")
    (html / "index.html").write_text(f"<html><head>{head}</head></html>")
    return html


ABC = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="


def test_a_remote_script_becomes_a_checked_local_copy(offline: ModuleType, tmp_path: Path) -> None:
    tag = f'<script src="{JQUERY}" integrity="{ABC}" crossorigin="anonymous" onerror="f()"></script>'
    html = published(tmp_path, tag)
    assert offline.make_offline(html) == 1
    assert (
        html / "index.html"
    ).read_text() == '<html><head><script src="vendor/jquery.min.js" onerror="f()"></script></head></html>'
    assert (html / "vendor" / "jquery.min.js").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (f'<script src="{JQUERY}" integrity="sha256-AAAA"></script>', "is not the file it should be"),
        (f'<script src="{JQUERY}"></script>', "states a hash"),
        ('<script src="https://elsewhere.example/x.js" integrity="sha256-AAAA"></script>', "no npm package is known"),
        ('<script src="//elsewhere.example/x.js"></script>', "no npm package is known"),
        ("<style>@import 'https://elsewhere.example/x.css';</style>", "remote references remain"),
        ("<style>a { background: url(//elsewhere.example/x.png) }</style>", "remote references remain"),
        (
            '<link href="https://cdn.jsdelivr.net/npm/bootstrap@3.1.1/dist/css/bootstrap.min.css" integrity="sha256-A">',
            "npm could not",
        ),
    ],
)
def test_what_cannot_be_made_local_is_an_error(offline: ModuleType, tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(offline.OfflineError, match=message):
        offline.make_offline(published(tmp_path, head))


def test_a_feed_that_is_only_linked_may_be_elsewhere(offline: ModuleType, tmp_path: Path) -> None:
    assert offline.make_offline(published(tmp_path, '<link rel="alternate" href="https://elsewhere.example/feed.xml">')) == 0
