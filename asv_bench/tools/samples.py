"""Combine two measurements of one commit: the later one adds to the earlier one, and does not replace it."""

from __future__ import annotations

import itertools
import statistics
from typing import Any


def combined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A result file's content with the samples of both; each value is their median. What failed anew has failed."""
    results = dict(old["results"])
    for name, row in new["results"].items():
        before, after = columns(old, results.get(name, [])), columns(new, row)
        same = all(before.get(key) == after.get(key) for key in ("params", "version")) and before.get("result")
        if same and before.get("started_at") == after.get("started_at"):
            continue  # the same measurement, uploaded once more
        merged = after | joined(before, after) if same and after.get("result") else after
        results[name] = [merged.get(column) for column in new["result_columns"]]
    known = [name for name in results if name not in new["results"]]
    kept = {name: [columns(old, old["results"][name]).get(column) for column in new["result_columns"]] for name in known}
    return new | {"results": results | kept}


def columns(file: dict[str, Any], row: list[Any]) -> dict[str, Any]:
    return dict(zip(file["result_columns"], row, strict=False))


def joined(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The values of both, point by point."""
    values, samples = [], []
    for one, other in itertools.zip_longest(points(before), points(after), fillvalue=[]):
        failed = not other or any(value is None or value != value for value in other)
        both = other if failed else [value for value in one if value is not None and value == value] + other
        values.append(other[0] if failed and other else statistics.median(both) if both else None)
        samples.append(None if failed else both)
    return {"result": values, "samples": samples}


def points(row: dict[str, Any]) -> list[list[Any]]:
    """All samples of each point; those that asv keeps none of have their value alone."""
    samples = row.get("samples") or [None] * len(row["result"])
    return [kept or [value] for kept, value in zip(samples, row["result"], strict=True)]
