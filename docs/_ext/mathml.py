"""Formulas as MathML, which docutils makes of LaTeX and browsers draw: no script, no font."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml, unichar2tex


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_translated(node, as_block=False))
    raise nodes.SkipNode


def _display(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math" tabindex="0">{_translated(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _translated(node: nodes.Element, *, as_block: bool) -> str:
    """The formula as MathML; LaTeX that docutils does not know raises MathError and ends the build."""
    return str(latex2mathml.tex2mathml(node.astext().translate(unichar2tex.uni2tex_table), as_block=as_block))


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
