"""Make the html that `asv publish` writes self-contained: every remote script and style becomes a local, checked copy.

The copies come from npm packages of fixed versions. asv states a hash for each file; where npm carries the same bytes, that
hash must match. flot and stupidtable are on npm only in another form (flot's own source, a later stupidtable), so their hashes
are stated here. Files are kept in $GPUOPT_ASV_ASSETS, if it is set, and taken from there without a network the next time.

    python offline.py HTML_FOLDER
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple


class Asset(NamedTuple):
    """Where a remote file is found on npm; ``integrity`` is empty where asv's own hash must match."""

    package: str
    path: str
    integrity: str = ""


CDNJS = "https://cdnjs.cloudflare.com/ajax/libs/"
JSDELIVR = "https://cdn.jsdelivr.net/npm/"
FLOT = "flot@0.8.3"
ASSETS = {
    "https://code.jquery.com/jquery-3.3.1.min.js": Asset("jquery@3.3.1", "dist/jquery.min.js"),
    CDNJS + "flot/0.8.3/jquery.flot.min.js": Asset(
        FLOT, "jquery.flot.js", "sha256-t7kx8nPDixJ3ucbB9OBcTsCYhaSHvdrzJ54tfkmjjhI="
    ),
    CDNJS + "flot/0.8.3/jquery.flot.time.min.js": Asset(
        FLOT, "jquery.flot.time.js", "sha256-pYLIMq3HE4prBar2HxbrrCdHAfG+Sv6nfnOaHDS5xBo="
    ),
    CDNJS + "flot/0.8.3/jquery.flot.selection.min.js": Asset(
        FLOT, "jquery.flot.selection.js", "sha256-5shfbB6+S02inYriOMfFBgKD8F9+8FT2uRgX0CwJKRg="
    ),
    CDNJS + "flot/0.8.3/jquery.flot.categories.min.js": Asset(
        FLOT, "jquery.flot.categories.js", "sha256-boFmSyjqeVxzSQb0qhVhRkCnWsf705mn+5CEBAaYNRo="
    ),
    JSDELIVR + "flot-orderbars@1.0.0/js/jquery.flot.orderBars.js": Asset("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    CDNJS + "stupidtable/1.0.1/stupidtable.min.js": Asset(
        "stupid-table-plugin@1.1.3", "stupidtable.min.js", "sha256-RkI4Dyjr6e18rCUXk7KB74YgxDhiBdkniPmxL1zOtOA="
    ),
    CDNJS + "blueimp-md5/2.19.0/js/md5.min.js": Asset("blueimp-md5@2.19.0", "js/md5.min.js"),
    JSDELIVR + "bootstrap@3.1.1/dist/js/bootstrap.min.js": Asset("bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    JSDELIVR + "bootstrap@3.1.1/dist/css/bootstrap.min.css": Asset("bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
}
TAG = re.compile(r"<(?:script|link(?![^>]*\balternate\b)|img|iframe|source|object|embed)\b[^>]*>", re.IGNORECASE)
REMOTE = re.compile(r"""(?:src|href|data)\s*=\s*["']((?:https?:)?//[^"']+)["']""", re.IGNORECASE)
CSS_REMOTE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')]+)""", re.IGNORECASE)
CALL_REMOTE = re.compile(r"""(?:fetch|ajax|getJSON|getScript|importScripts|open)\([^)\n]*["']((?:https?:)?//[^"'\s]+)""")


class OfflineError(Exception):
    """Why the pages cannot be made self-contained."""


def main() -> int:
    parser = argparse.ArgumentParser(description="make asv's published html self-contained")
    parser.add_argument("html", type=Path)
    html = parser.parse_args().html
    try:
        replaced = make_offline(html)
    except OfflineError as error:
        print(f"offline: {error}", file=sys.stderr)
        return 1
    print(f"offline: {replaced} remote files are local now; nothing remote remains in {html}")
    return 0


def make_offline(html: Path) -> int:
    """Replace every remote file that the pages load; the number of replacements."""
    replaced = 0
    if not (html / "index.json").is_file():
        raise OfflineError(f"{html} is not a folder that `asv publish` wrote: it has no index.json")
    for page in sorted(html.glob("*.html")):
        text = page.read_text(encoding="utf-8")
        tags = [tag for tag in TAG.findall(text) if REMOTE.search(tag)]
        for tag in tags:
            text = text.replace(tag, local_tag(tag, html))
            replaced += 1
        page.write_text(text, encoding="utf-8")
    if left := remote_references(html):
        raise OfflineError("these remote references remain: " + "; ".join(left))
    return replaced


def local_tag(tag: str, html: Path) -> str:
    """The tag with a local address; the file itself is written into ``vendor``."""
    found = REMOTE.search(tag)
    assert found is not None
    url = found[1]
    if url not in ASSETS:
        raise OfflineError(f"no npm package is known for {url}: add it to ASSETS (has asv been updated?)")
    asset = ASSETS[url]
    stated = re.search(r'integrity="([^"]+)"', tag)
    integrity = asset.integrity or (stated[1] if stated else "")
    if not integrity:
        raise OfflineError(f"neither asv nor ASSETS states a hash for {url}")
    content = fetch(asset, integrity)
    name = Path(asset.path).name
    (html / "vendor").mkdir(exist_ok=True)
    (html / "vendor" / name).write_bytes(content)
    tag = tag.replace(url, f"vendor/{name}")
    return re.sub(r'\s+(?:integrity|crossorigin|referrerpolicy)="[^"]*"', "", tag)


def fetch(asset: Asset, integrity: str) -> bytes:
    """The file from the cache or from npm, checked."""
    cache = os.environ.get("GPUOPT_ASV_ASSETS", "")
    kept = Path(cache, asset.package.replace("/", "+"), asset.path) if cache else None
    content = kept.read_bytes() if kept and kept.is_file() else from_npm(asset)
    if hash_of(content, integrity) != integrity:
        where = kept if kept and kept.is_file() else "npm"
        raise OfflineError(
            f"{asset.package}/{asset.path} from {where} is not the file it should be: "
            f"its hash is {hash_of(content, integrity)}, not {integrity}"
        )
    if kept and not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
    return content


def from_npm(asset: Asset) -> bytes:
    """One file of a package, as ``npm pack`` fetches it; no script of the package runs."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, asset.package]
        try:
            done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OfflineError(
                f"npm could not be run for {asset.package} ({error}); set GPUOPT_ASV_ASSETS to a filled folder"
            ) from None
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            raise OfflineError(f"`npm pack {asset.package}` failed: {done.stderr.strip()[-500:]}")
        with tarfile.open(packed[0]) as archive:
            member = archive.extractfile(f"package/{asset.path}")
            if member is None:
                raise OfflineError(f"{asset.package} has no file {asset.path}")
            return member.read()


def hash_of(content: bytes, like: str) -> str:
    """A hash in the form of another: sha256-... or sha512-..."""
    algorithm = like.partition("-")[0]
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise OfflineError(f"unknown hash {like}")
    return f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def remote_references(html: Path) -> list[str]:
    """What a page would still load from elsewhere, with its file; links to follow by hand are no such thing."""
    found = []
    for path in sorted(html.rglob("*")):
        if path.suffix not in (".html", ".css", ".js"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".html":
            found += [f"{path.name}: {m[1]}" for tag in TAG.findall(text) if (m := REMOTE.search(tag))]
        if path.suffix in (".html", ".css"):
            found += [f"{path.name}: {url}" for url in CSS_REMOTE.findall(text)]
        if path.suffix in (".html", ".js"):
            found += [f"{path.name}: {url}" for url in CALL_REMOTE.findall(text)]
    return found


if __name__ == "__main__":
    sys.exit(main())
