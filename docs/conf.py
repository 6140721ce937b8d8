"""How Sphinx builds the site: ``python -m sphinx -W -b html docs OUT``, after ``pip install -e ".[docs]"``.

Nothing that a page needs comes from another host. Without a network the build works too: links into other projects are then
plain text.
"""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))
sys.path.insert(0, str(DOCS.parent))

import gpuopt  # noqa: E402  (found by the line above)

project = "gpuopt"
author = "The gpuopt developers"
copyright = author  # noqa: A001  (Sphinx reads this name)
release = version = gpuopt.__version__
REPOSITORY = "https://github.com/gpuopt/gpuopt"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "gallery",
    "mathml",
    "pages",
    "reference",
]
exclude_patterns = ["_*", "gallery/**"]  # sphinx-gallery reads the gallery, and writes its pages into generated/
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!gpuopt\.).*")]  # names of others may be missing: there may be no network
default_role = "py:obj"

myst_heading_anchors = 4

autodoc_mock_imports = ["torch"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's sections say what is taken and given, in words
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL03", "GL06", "GL07", "GL08", "GL10", "PR02", "PR05", "PR06", "RT02", "SS02", "SS03"}
# Rule documents the arguments of its method, and the MLPs add to scikit-learn's.
numpydoc_validation_exclude = {r"gpuopt\.Rule$", r"gpuopt\.sklearn\.MLP"}

VERSION = os.environ.get("GPUOPT_DOCS_VERSION", "main")
"""The tag that is built; the site of main, which has the list of versions, is then the folder above."""
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "gpuopt"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "changelog": [], "architecture": []}
html_theme_options = {
    "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
    "switcher": {"json_url": f"{'' if VERSION == 'main' else '../'}_static/switcher.json", "version_match": VERSION},
    "check_switcher": False,
    "icon_links": [{"name": "Source on GitHub", "url": REPOSITORY, "icon": "fa-solid fa-code-branch"}],
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "generated/gallery",
    "subsection_order": "gallery.order_of_folders",
    "within_subsection_order": "gallery.Order",
    "image_scrapers": ["gallery.figures"],
    "reset_modules": ["matplotlib", "gallery.strictly"],
    "reset_modules_order": "both",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "capture_repr": (),
    "remove_config_comments": True,
    "min_reported_time": float("inf"),
    "write_computation_times": False,
    "show_signature": False,
}


def _reachable(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/objects.inv", timeout=5).close()
    except OSError:
        return False
    return True


OTHERS = {
    "numpy": "https://numpy.org/doc/stable",
    "scipy": "https://docs.scipy.org/doc/scipy",
    "cupy": "https://docs.cupy.dev/en/stable",
    "torch": "https://docs.pytorch.org/docs/stable",
}
intersphinx_mapping = {name: (address, None) for name, address in OTHERS.items() if _reachable(address)}


def _link_to_the_repository(app: Any, name: str, source: list[str]) -> None:
    """Lead links out of docs/, which work on GitHub, to GitHub also from here."""
    source[0] = re.sub(r"\]\(\.\./(?!CHANGELOG\.md)([^)]*)\)", rf"]({REPOSITORY}/blob/main/\1)", source[0])
    source[0] = source[0].replace("](../CHANGELOG.md)", "](changelog.md)")


def setup(app: Any) -> None:
    app.connect("source-read", _link_to_the_repository)
