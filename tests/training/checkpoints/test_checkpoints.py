"""save and load: what is kept, where it may be loaded, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gpuopt as go
from tests.support.executors import running_on
from tests.support.optimizers import everything
from tests.support.variants import on_host


@pytest.mark.every("executor")
def test_another_executor_and_another_device_go_on(executor: str, xp: Any, tmp_path: Path) -> None:
    start = {"w": np.arange(6.0, dtype="f4").reshape(2, 3), "z": np.ones(2, "c8")}
    with running_on("numpy"):
        first = go.Adam().init({name: array.copy() for name, array in start.items()})
        first.step(start)
    go.save(tmp_path / "a.npz", first)
    there = go.Adam().init({name: xp.zeros_like(xp.asarray(array)) for name, array in start.items()})
    go.load(tmp_path / "a.npz", there)
    go.save(tmp_path / "b.npz", there)
    go.load(tmp_path / "b.npz", first)
    for name, array in first.params.items():
        assert_array_equal(on_host(there.params[name]), array)
    assert there.t == first.t == 1


def test_arrays_for_hyperparameters_are_restored_where_they_are(tmp_path: Path) -> None:
    """Given to `init`, or written in a piece, one of them read-only."""
    rates, mask, fixed = np.array([0.1, 0.2]), np.array([1.0, 0.0]), np.array([1.0, 2.0])
    fixed.flags.writeable = False
    rule = go.chain(go.SGD(), go.support(mask), go.bounds(-1.0, fixed))
    opt = rule.init(np.zeros(2), hyper={"lr": rates})
    go.save(tmp_path / "a.npz", opt)
    rates[...], mask[...] = 7.0, 7.0
    go.load(tmp_path / "a.npz", opt)
    assert (rates.tolist(), mask.tolist()) == ([0.1, 0.2], [1.0, 0.0])

    fixed.flags.writeable = True
    fixed[...] = 9.0
    fixed.flags.writeable = False
    before = everything(opt)
    with pytest.raises(ValueError, match=r"hi'\] is read-only, and other values were saved: give init a copy"):
        go.load(tmp_path / "a.npz", opt)
    assert everything(opt) == before


def test_numpy_opens_the_file_under_readable_names(tmp_path: Path) -> None:
    opt = go.Adam().init({"w": np.ones(2), 1: [np.ones(3)], "1": {"0": np.ones(4)}, "../x": np.ones(1)})
    go.save(tmp_path / "a.npz", opt)
    with np.load(tmp_path / "a.npz") as found:
        assert found["params/1/0"].shape == (3,)
        assert found["params/w"].tolist() == [1, 1]
        manifest = json.loads(found["manifest.json"])
        assert all(np.load(tmp_path / "a.npz")[name].dtype != object for name in manifest["arrays"])
    assert (manifest["version"], manifest["gpuopt"]) == (1, go.__version__)
    assert "params/___x" in manifest["arrays"]
    go.load(tmp_path / "a.npz", opt)


def test_extra_comes_back_as_it_was(tmp_path: Path) -> None:
    extra = {
        "rng": np.random.default_rng(3).bit_generator.state,
        (1, None): [True, 2**70, -0.0, float("inf"), 1j, "\ud800 text", ()],
        "arrays": (np.float32(0.1), np.int64(3), np.array("text"), np.zeros((0, 2), ">i2")),
    }
    opt = go.SGD().init(np.ones(1))
    go.save(tmp_path / "a.npz", opt, extra=extra)
    found = go.load(tmp_path / "a.npz", opt)
    arrays, expected = found.pop("arrays"), extra.pop("arrays")
    assert found == extra
    assert str(found[1, None]) == str(extra[1, None])
    for one, other in zip(arrays, expected, strict=True):
        assert type(one) is type(other)
        assert_array_equal(one, other, strict=True)


def test_bfloat16_loads_without_ml_dtypes_as_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    opt = go.Momentum().init(np.ones(3, "f4"), state_dtype="bfloat16")
    opt.step(np.array([1, -2, np.inf], "f4"))
    go.save(tmp_path / "a.npz", opt, extra=np.array([1.5, np.nan], ml_dtypes.bfloat16))
    again = go.Momentum().init(np.ones(3, "f4"))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    extra = go.load(tmp_path / "a.npz", again)
    assert_array_equal(extra, np.array([1.5, np.nan], "f4"), strict=True)
    assert_array_equal(again.state["v"], opt.state["v"].astype("f4"))


def test_history_is_kept(tmp_path: Path) -> None:
    params, history, again = np.ones(2), go.History(), go.History()
    opt = go.SGD(0.1).init(params)
    losses = iter(range(1, 1031))
    history = go.fit(lambda p, x: (next(losses), p), params, np.zeros(1030), opt, 1, epochs=1)
    go.save(tmp_path / "a.npz", opt, history=history)
    go.load(tmp_path / "a.npz", opt, history=again)
    assert again.to_dict() == history.to_dict()
    json.dumps(again.to_dict())
    go.save(tmp_path / "b.npz", opt)
    with pytest.raises(ValueError, match=r"holds no history: write gpuopt\.load\(path, opt\)"):
        go.load(tmp_path / "b.npz", opt, history=again)


def saved(tmp_path: Path, **options: Any) -> Path:
    go.save(tmp_path / "a.npz", go.Adam().init({"w": np.ones(3)}), **options)
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    ("rule", "params", "message"),
    [
        (go.Adam(), {"w": np.ones(4)}, r"params\['w'\] is float64 \(4,\), and float64 \(3,\) was saved"),
        (go.Adam(), {"w": np.ones(3, "f4")}, r"params\['w'\] is float32 \(3,\), and float64 \(3,\) was saved"),
        (go.Adam(), {"v": np.ones(3)}, r"missing: saved params\['v'\]; extra: saved params\['w'\]"),
        (go.SGD(), {"w": np.ones(3)}, "state_dict is of the rule Adam"),
    ],
)
def test_what_does_not_fit_changes_nothing(rule: Any, params: Any, message: str, tmp_path: Path) -> None:
    opt = rule.init(params)
    before = everything(opt)
    with pytest.raises(ValueError, match=message) as raised:
        go.load(saved(tmp_path), opt)
    assert "does not fit this optimizer, which has not changed" in raised.value.__notes__[0]
    assert everything(opt) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra": {"a": [{1, 2}]}}, r"extra\['a'\]\[0\] is a set, .*: make it a list"),
        ({"extra": np.random.default_rng()}, r"extra is a Generator, .*: save its \.bit_generator\.state"),
        ({"extra": np.array([None])}, "extra is an array of object"),
        ({"extra": np.ma.zeros(2)}, r"extra is a masked array: save its \.data and its \.mask"),
        ({"history": [1.0]}, r"history must be a History, as gpuopt\.fit returns, got list"),
    ],
)
def test_what_cannot_be_kept_is_named(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=message):
        saved(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_the_wrong_things_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(TypeError, match=r"opt must be an Optimizer, as rule\.init\(params\) returns, got gpuopt.*Adam"):
        go.save(path, go.Adam())  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*none' for 'a\.npz': create it first, os\.makedirs"):
        go.save(tmp_path / "none" / "a.npz", go.Adam().init(np.ones(1)))
    with pytest.raises(FileNotFoundError):
        go.load(tmp_path / "b.npz", go.Adam().init(np.ones(1)))


# The format safetensors


def test_safetensors_read_by_the_library_itself(tmp_path: Path) -> None:
    """Every dtype comes back, and others read the arrays under their names."""
    library = pytest.importorskip("safetensors.numpy")
    params = {name: np.arange(4).astype(name).reshape(2, 2).T for name in ("f2", "f4", "f8", "c8", "c16")}
    opt = go.chain(go.skip_nonfinite(), go.Adam()).init(params)
    opt.step({name: np.ones_like(p) for name, p in params.items()})
    extra = (np.array("text"), np.arange(3, dtype=">i2"), np.array(True), np.zeros((0, 2)), np.float32(2))
    go.save(tmp_path / "a.safetensors", opt, extra=extra)
    again = go.chain(go.skip_nonfinite(), go.Adam()).init({name: np.zeros((2, 2), name) for name in params})
    for one, other in zip(go.load(tmp_path / "a.safetensors", again), extra, strict=True):
        assert_array_equal(one, other, strict=True)
    assert everything(again) == everything(opt)
    found = library.load_file(tmp_path / "a.safetensors")
    assert_array_equal(found["params.f4"], params["f4"])
    assert_array_equal(found["state.m.c8"], opt.state["m"]["c8"])

    library.save_file({"w": np.ones(3)}, tmp_path / "b.safetensors")
    with pytest.raises(go.CheckpointError, match=r"it has no manifest: read arrays with safetensors\.numpy\.load_file"):
        go.load(tmp_path / "b.safetensors", opt)


def test_safetensors_of_bfloat16(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    opt = go.Momentum().init(np.array([1.5, -2.0], ml_dtypes.bfloat16))
    go.save(tmp_path / "a.safetensors", opt)
    assert b'"params":{"dtype":"BF16","shape":[2]' in (tmp_path / "a.safetensors").read_bytes()
    again = go.Momentum().init(np.zeros(2, ml_dtypes.bfloat16))
    go.load(tmp_path / "a.safetensors", again)
    assert everything(again) == everything(opt)


def test_without_safetensors_its_installation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'a file called \.safetensors needs safetensors: pip install "safetensors>='):
        go.save(tmp_path / "a.safetensors", go.SGD().init(np.ones(1)))


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such permissions there")
def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path, opt = tmp_path / "a.npz", go.Adam().init(np.ones(2))
    go.save(path, opt)
    path.chmod(0o600)
    go.save(path, opt)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_name_as_long_as_file_systems_take(letter: str, tmp_path: Path) -> None:
    path, opt = tmp_path / f"{letter * (250 // len(letter.encode()))}.npz", go.Adam().init(np.ones(2))
    go.save(path, opt)
    go.save(path, opt)
    go.load(path, opt)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    opt = go.Adam().init(np.ones(2))
    for action in (go.save, go.load):
        with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
            action(tmp_path, opt)
    with pytest.raises(TypeError, match=r"the path comes first, .* gpuopt\.load\(path, opt\)"):
        go.load(opt, "a.npz")  # type: ignore[arg-type]
