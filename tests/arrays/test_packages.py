"""Which builds of CuPy are used, and what to type for another: with faked versions."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend, packages

ROOT = Path(__file__).parents[2]


def cupy(version: str = "14.1.0", hip: bool = False, cuda: int = 13_000) -> Any:
    """As much of CuPy as tells which build it is; its arrays are of a class of their own."""
    runtime = types.SimpleNamespace(is_hip=hip, runtimeGetVersion=lambda: cuda)
    array = type("ndarray", (), {"dtype": np.dtype("f4"), "shape": (1,), "strides": (4,), "itemsize": 4, "size": 1})
    array.device = types.SimpleNamespace(id=0)  # type: ignore[attr-defined]
    array.data = types.SimpleNamespace(ptr=1 << 40)  # type: ignore[attr-defined]
    array.nbytes, array.base = 4, None  # type: ignore[attr-defined]
    spec = types.SimpleNamespace(origin="here")
    return types.SimpleNamespace(__version__=version, __spec__=spec, cuda=types.SimpleNamespace(runtime=runtime), ndarray=array)


def installed(monkeypatch: pytest.MonkeyPatch, name: str | None, by: str = "pip") -> None:
    """Let CuPy come from the distribution `name`, or from none."""

    def distribution(asked: str) -> Any:
        if asked != name:
            raise metadata.PackageNotFoundError(asked)
        return types.SimpleNamespace(read_text=lambda file: f"{by}\n", version="1.2.3")

    monkeypatch.setattr(packages, "distribution", distribution)


@pytest.mark.parametrize("version", ["14.1.0", "14.1", "14.1.0.post1", "14.2.0", "15.0.0a1", "100.0", "unknown"])
def test_a_build_that_is_used(version: str) -> None:
    assert packages.cupy_fault(cupy(version)) is None


OLD = ["14.0.1", "14.0.0", "14.1.0rc1", "14.1.0a2", "14.1.0.dev0", "13.99.9", "9.6.0"]
UPGRADE = 'pip install --upgrade "cupy-cuda12x>=14.1"'


@pytest.fixture
def of_cuda_12(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "cupy-cuda12x")


@pytest.mark.usefixtures("of_cuda_12")
@pytest.mark.parametrize("version", OLD)
def test_an_older_cupy_names_itself_the_need_and_the_command(version: str) -> None:
    fault = f"CuPy {version} is too old, and 14.1 or newer is needed: {UPGRADE}"
    assert packages.cupy_fault(cupy(version)) == fault


NEW = 'pip install "cupy-cuda13x>=14.1" for CUDA 13, pip install "cupy-cuda12x>=14.1" for CUDA 12'


@pytest.mark.parametrize(
    ("name", "by", "command"),
    [
        ("cupy-cuda13x", "pip", 'pip install --upgrade "cupy-cuda13x>=14.1"'),
        ("cupy-cuda12x", "uv", UPGRADE),
        ("cupy", "pip", 'pip install --upgrade "cupy>=14.1"'),
        ("cupy", "conda", 'conda install -c conda-forge "cupy>=14.1"'),
        ("cupy-cuda11x", "pip", f"pip uninstall --yes cupy-cuda11x, then {NEW}"),
        (None, "", NEW),
    ],
)
def test_the_command_is_that_for_what_is_installed(
    name: str | None, by: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, name, by)
    assert (packages.cupy_fault(cupy("14.0.1")) or "").endswith(f"needed: {command}")
    assert packages.version("cupy") == (None if name is None else "1.2.3")


@pytest.mark.usefixtures("of_cuda_12")
def test_another_build_is_not_used() -> None:
    assert "built for AMD's ROCm" in (packages.cupy_fault(cupy(hip=True)) or "")
    assert "built for CUDA 11.8, and CUDA 12 or newer is needed" in (packages.cupy_fault(cupy(cuda=11_080)) or "")
    assert packages.cupy_fault(cupy(cuda=12_000)) is None


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch, fresh_choice: None, of_cuda_12: None) -> Iterator[Any]:
    monkeypatch.setenv(backend.VARIABLE, "")
    monkeypatch.setattr(backend, "_chosen", None)
    fake = cupy("14.0.1")
    monkeypatch.setitem(sys.modules, "cupy", fake)
    backend.why_not_cupy.cache_clear()
    yield fake
    backend.why_not_cupy.cache_clear()


def test_info_says_why_it_is_not_used(old: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from gpuopt import cli

    assert go.xp() is np
    reason = f"CuPy 14.0.1 is too old, and 14.1 or newer is needed: {UPGRADE}"
    assert go.info()["reasons"]["cupy"] == reason
    assert cli.main(["info"]) == 0
    assert reason in capsys.readouterr().out
    with pytest.raises(RuntimeError, match=re.escape(reason)):
        go.use("cupy")


def test_its_arrays_are_refused(old: Any) -> None:
    params: Any = old.ndarray()
    for rule in (go.Adam(), go.chain(go.clip(1.0), go.Adam()), go.partition({"*": go.Adam()})):
        with pytest.raises(RuntimeError) as caught:
            rule.init(params)
        assert str(caught.value) == (
            f"CuPy arrays cannot be updated here: CuPy 14.0.1 is too old, and 14.1 or newer is needed: {UPGRADE}"
        )
    with pytest.raises(RuntimeError, match=r"cuda_source cannot use CuPy: CuPy 14\.0\.1 is too old"):
        go.cuda_source(go.Adam())


def test_what_is_to_be_typed_is_what_the_extras_ask_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = [entry.partition(";")[0].strip() for extra in extras.values() for entry in extra]
    for package, version in packages.NEEDED.items():
        found = {entry for entry in asked if re.match(rf"{package}\b", entry)}
        assert found == {package + version}
    assert packages.command("sklearn.datasets".partition(".")[0]) == 'pip install "scikit-learn>=1.5"'
