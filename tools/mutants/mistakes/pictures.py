"""Mistakes in pictures, and in what a notebook shows."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "names of paths over the paths",
        "paths:_cost",
        "covered + 10 * outside.sum()",
        "10 * outside.sum()",
        "test_paths::test_names_of_paths_that_end_together_can_be_read",
    ),
    Mistake(
        "curves that grow by their points, though each has another length",
        "animate",
        "points[:, 0] if end is None else np.arange(len(points))",
        "np.arange(len(points))",
        "test_paths::test_curves_grow_along_their_axis",
    ),
    Mistake(
        "lines that are cut where the axis ends, after their mean was taken",
        "curves:_curve",
        "_within(every[drawn], loss[drawn], name, xlim)",
        "every[drawn], loss[drawn]",
        "test_plot::test_lines_are_cut_before_they_are_smoothed",
    ),
    Mistake(
        "the source of a rule read as HTML",
        "notebook:_pre",
        "html.escape(text)",
        "text",
        "test_notebook::test_what_is_written_is_no_html",
    ),
    Mistake(
        "bytes of the first step alone counted for each",
        "traffic:_moved",
        "place.array not in rare",
        "True",
        "test_choosing::test_the_page_has_the_table_of_rules",
    ),
]
