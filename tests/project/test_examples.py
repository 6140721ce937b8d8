"""The examples run, and reach what they promise."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuopt.arrays import tree

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The names of an example that has run, and what it printed."""
    scope = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return scope, capsys.readouterr().out


def numbers(pattern: str, text: str) -> list[tuple[float, ...]]:
    """What the groups of a pattern find, as numbers."""
    return [tuple(map(float, found.groups())) for found in re.finditer(pattern, text)]


def test_the_bound_makes_sources_not_negative(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed("constrained", capsys)
    (free, negative), (bound, none) = numbers(r"off by (\d+)%, (\d+) of", text)
    assert bound < 0.8 * free
    assert negative > none == 0


def test_ptychography_finds_object_and_positions(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed("ptychography", capsys)
    assert text.startswith("The gradient is right")
    middle, everywhere = numbers(r"amplitudes off by (.*)%, object off by (.*)%, positions by (.*) pixels", text)
    assert all(later < before for later, before in zip(everywhere, middle, strict=True))
    assert everywhere[1] < 3
    assert everywhere[2] < 0.1
    assert "[60, 120] updates a position" in text


def test_tomography_has_an_exact_adjoint_and_gains_by_each_piece(capsys: pytest.CaptureFixture[str]) -> None:
    scope, text = printed("tomography", capsys)
    rng = np.random.default_rng(1)
    image = scope["xp"].asarray(rng.normal(size=(scope["SIZE"], scope["SIZE"])))
    rays = scope["xp"].asarray(rng.normal(size=scope["ANGLES"] * scope["BINS"]))
    assert float(scope["project"](image) @ rays) == pytest.approx(float((image * scope["back"](rays)).sum()), rel=1e-12)
    (alone, negative), (bound, none), (flat, nowhere) = numbers(r"off by (.*)%, (\d+) of", text)
    assert flat < 0.8 * bound < 0.6 * alone
    assert negative > none == nowhere == 0


def test_the_fit_of_peaks_reaches_the_chi2_of_least_squares(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed("physics_fit", capsys)
    assert text.startswith("The gradient is right")
    start, alike, adam, search, *best = (value for (value,) in numbers(r"chi² ([\d.]+)", text))
    assert adam == search < 0.1 * alike < alike < start
    assert best in ([], [search])


@pytest.mark.parametrize("name", ["ptychography", "tomography", "peaks"])
def test_an_update_by_hand_makes_the_same_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    scope = runpy.run_path(str(ROOT / "tools" / "science.py"))
    ends = []
    for make in (scope["BY_HAND"][name], scope["HERE"][name]):
        start, grads = scope["given"](name, scope["SIDE"][name][0])
        opt = make(start)
        for _ in range(5):
            opt.step(grads)
        ends.append(tree.leaves(opt.params))
    for by_hand, here in zip(*ends, strict=True):
        assert float(abs(by_hand - here).max()) <= 1e-5 * float(abs(here).max())
