"""Trees of arrays: their leaves are matched by key, whatever the order of a dict."""

from __future__ import annotations

import numpy as np

from gpuopt.arrays.tree import TreeSpec


def test_leaves_of_a_nested_dict_are_matched_by_their_keys() -> None:
    x, y, z = np.ones(1), np.ones(2), np.ones(3)
    spec = TreeSpec({"inner": {"x": x, "y": y}, "z": z}, "params")
    found = spec.match({"z": z, "inner": {"y": y, "x": x}}, "grads")
    assert [leaf is wanted for leaf, wanted in zip(found, (x, y, z), strict=True)] == [True, True, True]
