"""Dynamic loss scaling, and numbers of the whole optimizer in a piece of one's own."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go
from tests.support.captures import captured
from tests.support.refusals import refused, table
from tests.support.variants import bits, on_host


def adam_with_a_scale(p: list[Any], grads: list[list[Any]], scale: Any, most: float) -> tuple[list[Any], list[float], int]:
    """Adam with the global norm clipped, in float64; `grads` are of the loss as it is, and are multiplied here."""
    m, v, t, good, scales = [0 * x for x in p], [0 * x for x in p], 0, 0, []
    now = scale.initial
    for g in grads:
        scales.append(now)
        with np.errstate(over="ignore"):
            scaled = [(x * now).astype("float16") for x in g]
        if not all(np.isfinite(x).all() for x in scaled):
            now, good = max(now * scale.backoff, 1.0), 0
            continue
        t, good = t + 1, good + 1
        plain = [x.astype(float) / now for x in scaled]
        shorter = min(1.0, most / (np.sqrt(sum((x**2).sum() for x in plain)) + 1e-6))
        m = [0.9 * a + 0.1 * shorter * x for a, x in zip(m, plain, strict=True)]
        v = [0.999 * a + 0.001 * (shorter * x) ** 2 for a, x in zip(v, plain, strict=True)]
        p = [x - 0.01 * (a / (1 - 0.9**t)) / (np.sqrt(b / (1 - 0.999**t)) + 1e-8) for x, a, b in zip(p, m, v, strict=True)]
        if good == scale.interval:
            now, good = now * scale.growth, 0
    return p, scales, t


def halves(step: int) -> list[Any]:
    """Gradients that float16 holds only when they are scaled well."""
    rng = np.random.default_rng(step)
    return [rng.normal(size=shape) * 3e-2 for shape in ((300,), (4, 5))]


def test_against_a_loop(executor: str, xp: Any) -> None:
    """It overflows, backs off, grows, overflows again."""
    scale = go.LossScale(2.0**24, interval=3)
    params = [xp.ones(300, "float32"), xp.ones((4, 5), "float32")]
    exact, scales, t = adam_with_a_scale([np.ones(300), np.ones((4, 5))], [halves(k) for k in range(20)], scale, 0.5)
    seen = []
    opt = go.chain(scale, go.clip_global_norm(0.5), go.Adam(0.01)).init(params)
    kept = opt.loss_scale
    for k in range(20):
        seen.append(float(opt.loss_scale))
        with np.errstate(over="ignore"):
            opt.step([xp.asarray((g * seen[-1]).astype("float16").astype("float32")) for g in halves(k)])
    assert (opt.t, opt.counts) == (t, [t, t])
    assert seen == scales
    assert len(set(scales)) > 4
    assert 0 < t < 16
    assert kept is opt.loss_scale
    assert (kept.shape, kept.dtype) == ((), np.float32)
    for p, wanted in zip(params, exact, strict=True):
        np.testing.assert_allclose(on_host(p), wanted, atol=2e-6)


def test_a_scale_that_float32_cannot_hold_does_not_grow(executor: str, xp: Any) -> None:
    opt = go.chain(go.LossScale(2.0**126, interval=1), go.SGD(0.1)).init(xp.zeros(3, "float32"))
    seen = []
    for _ in range(3):
        opt.step(xp.ones(3, "float32"))
        seen.append(float(opt.loss_scale))
    assert seen == [2.0**127] * 3


def test_as_in_pytorch(executor: str, xp: Any) -> None:
    """The scale of ``torch.amp.GradScaler`` after each step."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    scaling = go.LossScale(1e36, growth=3.0, backoff=0.3, interval=2)
    ours = []
    opt = go.chain(scaling, go.SGD(0.1)).init(xp.zeros(3, "float32"))
    theirs, found = torch.tensor(1e36, dtype=torch.float32), torch.tensor(0, dtype=torch.int32)
    for step in range(40):
        bad = step % 7 == 5
        opt.step(xp.full(3, np.inf if bad else 1.0, "float32"))
        torch._amp_update_scale_(theirs, found, torch.tensor(float(bad)), 3.0, 0.3, 2)
        ours.append(float(opt.loss_scale) == float(theirs))
    assert all(ours)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_refused_step_changes_the_scale_alone(executor: str, xp: Any, bad: float) -> None:
    params = {"a": xp.linspace(1, 2, 30, dtype="float32"), "b": xp.ones((2, 2), "complex64")}
    opt = go.chain(go.LossScale(8.0), go.accumulate(2), go.Adam(0.1), go.average()).init(params)
    grads = {"a": xp.ones(30, "float32"), "b": xp.ones((2, 2), "complex64")}
    opt.step(grads)
    before = pickle.dumps((opt.params, opt.state, opt.t, opt.counts))
    grads["b"][0, 1] = complex(0, bad)
    for k in range(5):
        assert float(opt.loss_scale) == max(8.0 * 0.5**k, 1.0)
        opt.step(grads)
        assert pickle.dumps((opt.params, opt.state, opt.t, opt.counts)) == before
    opt.step({"a": None, "b": None})
    assert (float(opt.loss_scale), opt.t) == (1.0, 2)


def test_what_is_saved_of_it(executor: str, xp: Any) -> None:
    x = xp.linspace(-1, 1, 20, dtype="float32")
    opt = go.chain(go.LossScale(64.0, interval=2), go.clip_global_norm(1.0), go.Adam(0.1)).init(x)
    for k in range(7):
        opt.step(xp.full(20, np.inf if k == 3 else k, "float32") * opt.loss_scale)
    assert opt.state_dict()["numbers"] == {"LossScale.scale": 128.0, "LossScale.good": 1.0}


def test_in_a_captured_step(some_gpu: None) -> None:
    """The loss is multiplied by the scale inside of what is captured; the scale changes from replay to replay."""
    import cupy

    found = []
    for replays in (False, True):
        x, g, large = cupy.linspace(-1, 1, 20, dtype="float32"), cupy.zeros(20, "float32"), cupy.ones((), "float32")
        rule = go.chain(go.LossScale(2.0**120, interval=2), go.clip_global_norm(1.0), go.Adam(0.1))
        opt = rule.init(x, capturable=True)

        def step(x: Any = x, g: Any = g, large: Any = large, opt: Any = opt) -> None:
            cupy.multiply(x, large, out=g)
            cupy.multiply(g, opt.loss_scale, out=g)
            opt.step(g)

        replay = captured(step)
        seen = []
        for k in range(12):
            large[...] = 2.0 ** (10 if k in (2, 3) else 0)
            replay() if replays else step()
            seen.append(float(opt.loss_scale))
        found.append([bits(x).tolist(), opt.t, seen])
    assert found[0] == found[1]
    assert found[0][1] == 10
    assert len(set(found[0][2])) > 3


def test_fit_uses_it(executor: str, xp: Any) -> None:
    """The loss that is returned is the plain one; only the gradients are scaled."""
    x, y = xp.linspace(-1, 1, 64).astype("float32"), 3 * xp.linspace(-1, 1, 64).astype("float32")
    w = xp.zeros((), "float32")
    opt = go.chain(go.LossScale(2.0**30), go.Adam(0.1)).init(w)

    def loss_and_grad(w: Any, x: Any, y: Any) -> Any:
        error = w * x - y
        return (error**2).mean(), xp.asarray((2 * error * x).mean() * opt.loss_scale).astype("float16").astype("float32")

    with np.errstate(over="ignore"):
        history = go.fit(loss_and_grad, w, (x, y), opt, batch_size=16, epochs=50)
    assert abs(float(w) - 3) < 0.1
    assert history.loss[-1] < 0.01
    assert float(opt.loss_scale) < 2.0**20
    assert opt.t < history.steps
    with pytest.raises(ValueError, match=r"write opt = rule.init\(params\), use opt.loss_scale"):
        go.fit(loss_and_grad, w, (x, y), opt.rule)
    with pytest.raises(ValueError, match="leave LossScale out of"):
        go.minimize(lambda x: (x, x), xp.ones(3), opt.rule)


def test_it_may_stand_before_a_partition() -> None:
    x = {"a": np.ones(2), "b": np.ones(2)}
    rule = go.partition({"a": go.Adam(), "b": go.chain(go.clip(1.0), go.SGD(0.1))})
    opt = go.chain(go.LossScale(), rule).init(x)
    opt.step({"a": np.ones(2), "b": np.full(2, np.nan)})
    assert (float(opt.loss_scale), opt.t, x["a"].tolist()) == (32768.0, 0, [1, 1])


def test_it_may_stand_after_what_reads_no_gradient() -> None:
    go.chain(go.freeze("a"), go.LossScale(), go.SGD())


@pytest.mark.parametrize("piece", [go.clip(1.0), go.weight_decay(0.1), go.skip_nonfinite()], ids=lambda p: type(p).__name__)
def test_it_may_not_stand_after_what_reads_the_gradient(piece: Any) -> None:
    told = f"{piece!r} would read gradients that are still scaled: put LossScale"
    refused(lambda: go.chain(go.freeze("a"), piece, go.LossScale(), go.SGD()), ValueError, (told,))


@table(
    (
        "two",
        lambda: go.chain(go.LossScale(), go.chain(go.LossScale(2.0), go.Adam())),
        ValueError,
        ("a chain has at most one LossScale",),
    ),
    (
        "in a partition",
        lambda: go.partition({"*": go.chain(go.LossScale(), go.Adam())}),
        ValueError,
        ("partition: LossScale(", "so it must stand in front: chain(LossScale"),
    ),
    (
        "after accumulate",
        lambda: go.chain(go.accumulate(2), go.LossScale(), go.Adam()),
        ValueError,
        ("of every step of all arrays, so it must stand before accumulate(k=2)",),
    ),
    (
        "nowhere",
        lambda: go.Adam().init(np.ones(2)).loss_scale,
        AttributeError,
        ("has no LossScale: put gpuopt.LossScale() first, as in chain(LossScale(), ...)",),
    ),
)
def test_where_it_may_not_stand(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initial": 0.5}, ValueError, "LossScale: initial must be a finite number >= 1, got 0.5"),
        ({"initial": lambda step: 2.0}, TypeError, "LossScale: initial must be a number, not a schedule, because"),
        ({"initial": 1e39}, ValueError, r"initial must be a number that float32 can hold, at most 3.4e38, got 1e\+39"),
        ({"growth": 1.0}, ValueError, "LossScale: growth must be a finite number > 1, got 1.0"),
        ({"backoff": 0.0}, ValueError, "LossScale: backoff must be a number between 0 and 1, got 0.0"),
        ({"backoff": 1.0}, ValueError, "LossScale: backoff must be a number between 0 and 1, got 1.0"),
        ({"interval": 0}, ValueError, r"LossScale: interval must be from 1 to 2\*\*24, got 0"),
        ({"interval": 2.0}, TypeError, "LossScale: interval must be an int, got 2.0"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.LossScale(**options)


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        (None, ValueError, r"holds the numbers \[\], this optimizer has \['LossScale.scale', 'LossScale.good'\]"),
        ({"LossScale.scale": 2.0}, ValueError, r"holds the numbers \['LossScale.scale'\], this"),
        ([2.0], ValueError, "holds the numbers list, this"),
        (
            {"LossScale.scale": 2.0, "LossScale.good": "1"},
            TypeError,
            r"\['numbers'\]\['LossScale.good'\] must be a number, got '1'",
        ),
        ({"LossScale.scale": True, "LossScale.good": 1.0}, TypeError, r"\['LossScale.scale'\] must be a number, got True"),
    ],
)
def test_a_state_dict_with_other_numbers_is_refused(numbers: Any, error: type[Exception], message: str) -> None:
    opt = go.chain(go.LossScale(), go.SGD()).init(np.ones(1))
    saved = opt.state_dict() | {"numbers": numbers, "t": 5}
    if numbers is None:
        del saved["numbers"]
    with pytest.raises(error, match=message):
        opt.load_state_dict(saved)
    assert (opt.t, float(opt.loss_scale)) == (0, 65536.0)


def test_a_dict_without_numbers_is_as_before() -> None:
    opt = go.chain(go.skip_nonfinite(), go.SGD()).init(np.ones(1))
    assert "numbers" not in opt.state_dict()
    assert opt.numbers == {}
    opt.load_state_dict(opt.state_dict())
    with pytest.raises(ValueError, match=r"holds the numbers \['x'\], this optimizer has \[\]"):
        opt.load_state_dict(opt.state_dict() | {"numbers": {"x": 1.0}})


class running_clip(go.GradientPiece):
    """Clip the norm of all arrays to `factor` times a number that it keeps, from the second step on."""

    factor: go.Positive = 1.0
    decay: go.Decay = 0.5
    norm: ClassVar[float]
    seen: ClassVar[float]

    def numbers(self) -> dict[str, float]:
        return {"norm": 0.0, "seen": 0.0}

    def update(self, t: Any, p: Any, g: Any) -> Any:
        most = np.where(self.seen > 0, self.factor * self.norm, np.inf)
        return np.minimum(most / go.tree_norm(g), 1.0) * g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return self.decay * self.norm + (1 - self.decay), self.seen + 1


def test_a_piece_of_ones_own_without_accept(executor: str, xp: Any) -> None:
    """With a schedule for a hyperparameter of `adapt`; two of a kind have numbers of their own."""
    rule = go.chain(running_clip(2.0, go.schedules.Piecewise((0.5, 0.0), (2,))), running_clip(8.0), go.SGD(1.0))
    x = xp.zeros(4)
    opt = rule.init(x)
    norms = []
    for _ in range(4):
        before = on_host(x.copy())
        opt.step(xp.full(4, 5.0))
        norms.append(float(np.linalg.norm(on_host(x) - before)))
    found = {name: float(n) for name, n in opt.numbers.items()}
    np.testing.assert_allclose(norms, [10.0, 1.0, 1.5, 2.0])
    assert found == {
        "running_clip.norm": 1.0,
        "running_clip.seen": 4.0,
        "running_clip_2.norm": 0.9375,
        "running_clip_2.seen": 4.0,
    }


class fading(go.GradientPiece):
    """A number that nothing is reduced for."""

    factor: ClassVar[float]

    def numbers(self) -> dict[str, float]:
        return {"factor": 1.0}

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return self.factor * g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return np.where(accepted, 0.5, 0.0) * self.factor


def test_numbers_without_reductions(executor: str, xp: Any) -> None:
    x = xp.zeros(3)
    opt = go.chain(fading(), go.SGD(1.0)).init(x)
    for _ in range(4):
        opt.step(xp.ones(3))
    assert (opt.t, opt.counts, float(opt.numbers["fading.factor"])) == (4, 4, 0.0625)
    assert x.tolist() == [-1.875] * 3


class with_total(go.GradientPiece):
    """Numbers made of reductions."""

    wrong: str = ""
    largest: ClassVar[float]

    def numbers(self) -> Any:
        return {"clip" if self.wrong == "hyper" else "update" if self.wrong == "method" else "largest": 0.0}

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        seen = np.max(np.abs(g)) if self.wrong == "array" else go.tree_max(np.abs(g))
        return (seen, seen) if self.wrong == "two" else np.where(accepted, np.maximum(self.largest, seen), seen)


def test_numbers_made_of_reductions(executor: str, xp: Any) -> None:
    params = [xp.ones(3, "float32"), xp.ones(2)]
    opt = go.chain(with_total(), go.SGD(0.1)).init(params)
    for largest in (2.0, 7.0, 3.0):
        opt.step([xp.ones(3, "float32"), xp.asarray([-largest, 0])])
    assert float(opt.numbers["with_total.largest"]) == 7.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("array", "with_total.adapt must return numbers of the whole optimizer, computed from .* for largest it returned"),
        ("two", r"with_total.adapt must return \(largest\), 1 values; it returned 2"),
        ("method", "with_total.numbers: 'update' is the name of a hyperparameter or a method"),
    ],
)
def test_what_adapt_may_not_do(wrong: str, message: str) -> None:
    with pytest.raises(go.TraceError, match=message):
        go.chain(with_total(wrong), go.SGD(0.1)).init(np.ones(3))


def with_numbers(start: Any, **methods: Any) -> Any:
    """What makes an optimizer of a piece whose numbers start so."""
    body = {"numbers": lambda self: start, "update": lambda self, t, p, g: g, **methods}
    piece = type("lazy", (go.GradientPiece,), body)
    return lambda: go.chain(piece(), go.SGD(0.1)).init(np.ones(3))


@table(
    (
        "no adapt",
        with_numbers({"x": 1.0}),
        go.TraceError,
        ("lazy has numbers of the whole optimizer, so it needs a method adapt",),
    ),
    ("a text", with_numbers({"x": "a"}), TypeError, ("lazy.numbers: x must start at a number, got 'a'",)),
    ("no dict", with_numbers(["x"]), TypeError, ("lazy.numbers must return a dict of initial values by name, got ['x']",)),
    (
        "too large",
        with_numbers({"x": 10**400}),
        ValueError,
        ("lazy.numbers: x must start at a number that float64 can hold, got 1000",),
    ),
)
def test_numbers_need_adapt_and_a_number_to_start_at(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_a_piece_alone_has_no_numbers_yet() -> None:
    with pytest.raises(AttributeError, match="'scale'; if it is one of its numbers, it is set where a chain is run"):
        go.LossScale().update(1, 1.0, 1.0)

    class Counting(go.Rule):
        def numbers(self) -> dict[str, float]:
            return {"made": 0.0}

        def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
            return (self.made + 1,)  # type: ignore[attr-defined]

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - g / (self.made + 1)  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="'made'; if it is one of its numbers, it is set where an optimizer runs it"):
        Counting().update(1, 1.0, 1.0)
    with pytest.raises(AttributeError, match="a rule has no arrays"):
        Counting().step  # type: ignore[attr-defined] # noqa: B018


class Fixed(go.LossScale):
    """A scale under another name."""


def test_a_loss_scale_is_known_by_its_class_not_by_its_name() -> None:
    opt = go.chain(Fixed(8.0), go.SGD(1.0)).init(x := np.zeros(1))
    assert opt.loss_scale == 8.0
    opt.step(opt.loss_scale * np.ones(1))
    assert x.tolist() == [-1.0]
    with pytest.raises(ValueError, match="minimize does not scale the loss"):
        go.minimize(lambda x: (float(x @ x), 2 * x), np.ones(2), go.chain(Fixed(), go.SGD()))
    with pytest.raises(ValueError, match="divides the gradients by a scale, and loss_and_grad must multiply the loss by it"):
        go.fit(lambda p, x: (0.0, p), x, np.ones((2, 1)), go.chain(Fixed(), go.SGD()), None, 1)


def test_what_is_only_called_like_it_scales_no_loss() -> None:
    numbers = {"numbers": lambda self: {"scale": 1.0}, "adapt": lambda self, p, g, accepted: self.scale}
    called = type("LossScale", (go.GradientPiece,), {"update": lambda self, t, p, g: g, **numbers})
    opt = go.chain(called(), go.SGD()).init(np.zeros(1))
    with pytest.raises(AttributeError, match="has no LossScale"):
        _ = opt.loss_scale
