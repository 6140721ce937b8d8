"""asv's own pages beside the front page: asv.html instead of index.html, with the way back, a language, and room on a phone."""

from __future__ import annotations

from pathlib import Path

OVERVIEW = '<li><a href="index.html">Overview</a></li>\n\t'
NO_SCRIPT = '<noscript><p>These graphs need JavaScript. The <a href="index.html">overview</a> does not.</p></noscript>'
PHONE = """<style>
@media (max-width: 767px) {
  body { padding-top: 0 !important; }
  #nav, #nav ul { position: static; height: auto; margin: 0; }
  #nav li, #nav li a, #nav p, #nav .navbar-brand { height: auto; margin: 0; padding: .2rem .6rem; float: none; }
  body > div { position: static !important; height: auto !important; }
  .asv-navigation { position: static !important; width: 100% !important; max-height: 40vh; }
  #summarylist-body, #regressions-body { position: static !important; padding: 0 .6rem; overflow-x: auto !important; }
  #graph-display > div:last-child { position: relative !important; inset: 0 !important; height: 26rem; margin: 1rem .6rem; }
  #main-graph .legend { display: none; }
}
</style>"""


def move(html: Path, address: str) -> None:
    """Make room for the front page; links in the feed lead to asv.html, and are absolute if the address is known."""
    page = (html / "index.html").read_text(encoding="utf-8")
    page = page.replace("<html>", '<html lang="en">', 1).replace('<li id="nav-li-" ', OVERVIEW + '<li id="nav-li-" ', 1)
    page = page.replace("</head>", f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{PHONE}\n</head>', 1)
    page = page.replace("<body>", f"<body>\n{NO_SCRIPT}", 1)
    (html / "asv.html").write_text(page, encoding="utf-8")
    (html / "index.html").unlink()
    feed = html / "regressions.xml"
    if feed.is_file():
        base = f"{address.rstrip('/')}/" if address else ""
        feed.write_text(feed.read_text(encoding="utf-8").replace("index.html#", f"{base}asv.html#"), encoding="utf-8")
