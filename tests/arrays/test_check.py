"""Remedies for parameters and gradients that are no arrays: each works where it is typed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.foreign import Frame, OnCuda, OnCudaWithGradient, Sparse

RULE = go.SGD(0.1)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (1, "np.array(params['w'], np.float64)"),
        (np.float32(1), "np.array(params['w'], np.float64)"),
        (np.arange(3), "params['w'].astype('float64')"),
        (np.ones(3, bool), "params['w'].astype('float64')"),
        (np.ones(3, ">f4"), "params['w'].astype('float32')"),
        (np.ones(3, object), "params['w'].astype('float64')"),
        (np.ones(3, np.longdouble), "params['w'].astype('float64')"),
        (np.ones(3, np.clongdouble), "params['w'].astype('complex128')"),
        (Frame(), "np.asarray(params['w'])"),
        (Sparse(), "np.asarray(params['w'].toarray())"),
        (OnCuda(), "cupy.asarray(params['w'])"),
        (OnCudaWithGradient(), "cupy.asarray(params['w'].detach())"),
    ],
)
def test_a_remedy_for_parameters(value: Any, remedy: str) -> None:
    params = {"w": value}
    with pytest.raises(TypeError, match=r"params\['w'\] must be .*" + ": make it .*" + re.escape(remedy) + "$"):
        RULE.init(params)
    if "cupy" not in remedy:
        RULE.init({"w": eval(remedy, {"np": np, "params": params})}).step({"w": None})


def test_strings_have_no_remedy() -> None:
    with pytest.raises(TypeError, match=r"got str \(params are an array, or lists, tuples and dicts of arrays\)"):
        RULE.init({"w": "abc"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"got dtype <U1$"):
        RULE.init({"w": np.array(["a"])})


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (Frame(), "np.asarray(grads['w'])"),
        (Sparse(), "np.asarray(grads['w'].toarray())"),
        (OnCuda(), "cupy.asnumpy(cupy.asarray(grads['w']))"),
        (np.ones((20, 3), int), "grads['w'].astype('float64')"),
    ],
)
def test_a_remedy_for_gradients(value: Any, remedy: str) -> None:
    opt, grads = RULE.init({"w": np.ones((20, 3))}), {"w": value}
    with pytest.raises(TypeError, match=r"grads\['w'\] must be .*" + re.escape(remedy) + "$"):
        opt.step(grads)
    if "cupy" not in remedy:
        opt.step({"w": eval(remedy, {"np": np, "grads": grads})})
