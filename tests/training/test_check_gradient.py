"""Gradients by hand: right ones are accepted, wrong ones named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.examples import spread
from tests.support.problems import STANDARD, bowl, phase_retrieval

MISTAKES: dict[str, Any] = {
    "conjugated": np.conj,
    "half": lambda g: g / 2,
    "double": lambda g: 2 * g,
    "negated": lambda g: -g,
    "transposed": lambda g: np.swapaxes(g, -1, -2).reshape(g.shape),
    "missing": lambda g: 0 * g,
    "wrong": lambda g: 1j * g,
}


def problem(seed: int, dtype: str, mistake: str = "right", shape: Any = (3, 3)) -> tuple[Any, Any]:
    """Far fields of an object and a probe; a mistake is made in the gradient of the probe."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        parts = rng.normal(size=shape), rng.normal(size=shape)
        return (parts[0] + 1j * parts[1] if dtype[0] == "c" else parts[0]).astype(dtype)

    matrix, seen = some(5, shape[-2]), abs(some(5, shape[-1]))
    x = {"object": some(*shape), "all": [some(*shape) * some().real.dtype.type(10.0 ** rng.integers(-2, 3))]}

    def fun(tree: Any) -> Any:
        item, probe = tree["object"], tree["all"][0]
        wave = matrix @ (item * probe)
        intensity = abs(wave) ** 2
        if seed % 3 == 0:  # intensities
            off = intensity - seen**2
            value, slope = (off * off).sum() / 4, off * wave
        elif seed % 3 == 1:  # amplitudes
            size = np.sqrt(intensity + 1)
            value, slope = ((size - seen) ** 2).sum() / 2, (size - seen) * wave / size
        else:
            value, slope = np.log1p(intensity).sum() / 2, wave / (1 + intensity)
        back = matrix.conj().T @ slope
        wrong = MISTAKES.get(mistake, np.asarray)((back * item.conj()).astype(dtype))
        return value, {"all": [wrong], "object": (back * probe.conj()).astype(dtype)}

    return fun, x


@pytest.mark.parametrize("dtype", ["c16", "c8"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_has_a_name(mistake: str, dtype: str) -> None:
    """In 50 of 50 random problems, on request."""
    shape = (2, 2, 4) if mistake == "transposed" else (3, 3)
    for seed in range(len(mistake), 50 + len(mistake), spread(50)):
        fun, x = problem(seed, dtype, mistake, shape)
        found = go.check_gradient(fun, x)
        assert (found.ok, found.verdict, found.leaf) == (False, mistake, "x['all'][0]"), seed
        assert found.index is not None
        assert len(found.index) == len(shape)
        assert found.error > 0.1
        assert [(leaf.path, leaf.verdict) for leaf in found.leaves] == [("x['object']", "right"), ("x['all'][0]", mistake)]
        assert f"The gradient of x['all'][0] is {mistake}: its error is" in str(found)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_right_ones_are_accepted(dtype: str) -> None:
    """200 of 200, on request."""
    for seed in range(0, 200, spread(67)):
        fun, x = problem(seed, dtype)
        found = go.check_gradient(fun, x, seed=seed)
        assert found.ok, (seed, str(found))
        assert (found.verdict, found.index) == ("right", None)
        assert found.error < 0.1
        assert "The gradient is right: the largest error is" in str(found)


@pytest.mark.parametrize("name", [name for name in STANDARD if "100" not in name])
def test_standard_problems(name: str) -> None:
    fun, x0 = STANDARD[name]
    x = x0 + 0.1 * np.random.default_rng(0).normal(size=x0.shape)
    assert go.check_gradient(fun, x, directions=3).ok


def test_two_mistakes_at_once() -> None:
    """dL/dz, which is the conjugate of half of it."""
    fun, start, _ = phase_retrieval(size=4)
    found = go.check_gradient(lambda z: (fun(z)[0], fun(z)[1].conj() / 2), start)
    assert (found.ok, found.verdict) == (False, "wrong")
    assert "is conjugated and half" in str(found)
    assert "return np.conj of it: the gradient is dL/dx + 1j * dL/dy" in str(found)


@pytest.mark.parametrize("shape", [(), (3,), (3, 1)])
def test_a_mistake_of_an_array_that_cannot_be_transposed(shape: tuple[int, ...]) -> None:
    found = go.check_gradient(lambda x: (float((abs(x) ** 2).sum()) / 2, -x), np.full(shape, 1.0 + 2j))
    assert (found.ok, found.verdict) == (False, "negated")


def test_the_element_that_is_wrong() -> None:
    def fun(x: Any) -> Any:
        value, gradient = bowl(x)
        gradient[2, 3] += 0.5
        return value, gradient

    found = go.check_gradient(fun, np.arange(20.0).reshape(4, 5))
    assert (found.verdict, found.leaf, found.index) == ("wrong", "x", (2, 3))
    assert "the largest error is at x[2, 3]" in str(found)


def test_kinks_that_float32_does_not_avoid() -> None:
    """Amplitudes of a flat wave: where no light falls, each move in complex64 crosses abs(w) at 0."""
    k = np.arange(16) - 8
    wave = np.exp(-(k**2 + k[:, None] ** 2) / 32)
    seen = 0.3 * np.random.default_rng(0).random((16, 16))

    def fun(z: Any) -> Any:
        far = np.fft.fft2(z, norm="ortho")
        off = abs(far) - seen
        return float((off * off).sum() / 2), np.fft.ifft2(off * np.exp(1j * np.angle(far)), norm="ortho").astype(z.dtype)

    said = str(go.check_gradient(fun, wave.astype("complex64")))
    assert "wrong" in said
    assert said.count("moves in float32 may cross them: check with arrays in float64") == 1
    assert go.check_gradient(fun, wave.astype("complex128")).ok
    assert "float64" not in str(go.check_gradient(lambda z: (fun(z)[0], 1j * fun(z)[1]), wave.astype("complex128")))


def test_what_is_given_stays_as_it_is() -> None:
    x = {"a": np.ones((2, 2)), "b": np.arange(3.0)}
    before = {key: array.copy() for key, array in x.items()}

    def fun(tree: Any, scale: float, shift: float) -> Any:
        value = scale * (tree["a"] ** 3).sum() + (tree["b"] - shift) @ (tree["b"] - shift)
        gradient = {"a": 3 * scale * tree["a"] ** 2, "b": 2 * (tree["b"] - shift)}
        tree["a"][:] = tree["b"][:] = 99.0
        return value, gradient

    assert go.check_gradient(fun, x, 2.0, 1.0).ok
    assert all(np.array_equal(x[key], before[key]) for key in x)


def test_scales_far_apart() -> None:
    scale = np.array([1e-2, 1.0, 5e3])
    x = {"small": np.array([1e-6, 2e-6]), "large": np.array([1e8])}

    def fun(tree: Any) -> Any:
        a, b = 1e6 * tree["small"], 1e-8 * tree["large"]
        return np.sin(a).sum() + np.exp(b).sum(), {"small": 1e6 * np.cos(a), "large": 1e-8 * np.exp(b)}

    assert go.check_gradient(fun, x).ok
    assert go.check_gradient(lambda x: (float((scale * x**2).sum()), 2 * scale * x), np.ones(3)).ok


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_arrays_of_few_bits(dtype: str) -> None:
    x = np.array([1.5, -2.0, 0.5], dtype)
    assert go.check_gradient(lambda x: (float((x.astype(float) ** 2).sum()), 2 * x), x).ok
    assert go.check_gradient(lambda x: (float((x.astype(float) ** 2).sum()), 4 * x), x).verdict == "double"


def test_where_rounding_hides_it() -> None:
    def fun(tree: Any) -> Any:
        return 1e12 + 1e-6 * float(tree["a"] @ tree["a"]) + 1e13 * float(tree["b"][0]), {
            "a": 2e-6 * tree["a"],
            "b": np.array([1e13]),
        }

    found = go.check_gradient(fun, {"a": np.ones(3), "b": np.ones(1)})
    assert found.ok
    assert "rounding hides it: x['a']" in str(found)


def test_kinks_and_what_is_not_finite_nearby() -> None:
    with np.errstate(all="ignore"):
        assert go.check_gradient(lambda x: (float(np.log(x).sum()), 1 / x), np.array([0.01, 4.0])).ok
    assert go.check_gradient(lambda x: (float(abs(x).sum()), np.sign(x)), np.array([0.3, -4.0, 0.001])).ok


@pytest.mark.parametrize(
    ("fun", "x", "error", "message"),
    [
        (lambda x: (np.nan, x), np.ones(2), ValueError, "fun is not finite at x: its value is nan"),
        (lambda x: (1.0, x * np.inf), np.ones(2), ValueError, "the gradient is not finite at x"),
        (lambda x: (1.0, {"a": None}), {"a": np.ones(2)}, TypeError, r"the gradient\['a'\] must be an array of numbers"),
        (lambda x: x @ x, np.ones(2), TypeError, r"fun must return \(value, gradient\)"),
        (3, np.ones(2), TypeError, "fun must be callable"),
        (
            lambda x, a: (0.0, x),
            np.ones(2),
            TypeError,
            r"fun\(x\), but takes \(x, a\): write gpuopt.check_gradient\(fun, x, a\)$",
        ),
        (bowl, np.ones(0), ValueError, "x holds no elements"),
        (lambda x: (1.0 if x[0] == 1 else np.nan, x), np.ones(2), ValueError, "fun is not finite near x"),
    ],
)
def test_refused(fun: Any, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.check_gradient(fun, x)
    with pytest.raises(ValueError, match="directions must be a whole number of at least 1, got 0"):
        go.check_gradient(bowl, np.ones(2), directions=0)
