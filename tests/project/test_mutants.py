"""The planted mistakes of `tools/mutants.py` are of the code as it is; that the suite notices them takes minutes, and CI."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = ROOT / "tools" / "mutants.py"
if not PATH.exists():
    pytest.skip("tools is not part of this distribution", allow_module_level=True)


def test_what_each_replaces_is_there() -> None:
    spec = importlib.util.spec_from_file_location("gpuopt_mutants", PATH)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    missing = [
        name for name, file, right, _ in tool.MUTANTS if right not in (ROOT / "gpuopt" / file).read_text(encoding="utf-8")
    ]
    assert missing == []
