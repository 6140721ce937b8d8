"""What docs/pytorch.md shows runs, and the door says what to type where PyTorch is missing."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go

pytestmark = pytest.mark.torch


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    for block in re.findall(r"^```py\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        exec(block, scope)
    assert capsys.readouterr().out == "[0.001, 0.1]\n[0.05, 0.005]\ntensor([0.1000, 0.1000, 0.1000], requires_grad=True)\n"


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "gpuopt.torch" or name.startswith("gpuopt.torch.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(go, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'gpuopt\.torch needs torch: pip install "torch>=2\.4"'):
        importlib.import_module("gpuopt.torch")
    with pytest.raises(ImportError, match="needs torch"):
        _ = go.torch
