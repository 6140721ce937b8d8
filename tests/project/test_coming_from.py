"""Each line on the page for those who come from another library gives the numbers of that library's formula."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.conventions import FAMILY, Reference

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*) \| `((?:go\.|VelocityOfSteps|CorrectedAgain).*)` \|$", PAGE, flags=re.MULTILINE)
STEPS, SIZE = 12, 5


def namespace() -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": __name__}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        exec(block, scope)
    return scope


def test_the_loop_by_hand_is_ported_and_continued(capsys: pytest.CaptureFixture[str]) -> None:
    namespace()
    assert capsys.readouterr().out == "True\n100\n"


def falling(step: int) -> float:
    return 0.1 * 0.9**step


def sgd(lr: float = 0.1, change: Callable[[Any, Any], Any] = lambda g, p: g) -> Reference:
    def run(p: Any, gs: Any) -> Any:
        for g in gs:
            p = p - lr * change(g, p)
        return p

    return run


def torch_momentum(dampening: float = 0.0, nesterov: bool = False) -> Reference:
    """The buffer is a sum of gradients; the first gradient is taken whole."""

    def run(p: Any, gs: Any) -> Any:
        buffer = None
        for g in gs:
            buffer = g if buffer is None else 0.9 * buffer + (1 - dampening) * g
            p = p - 0.1 * (g + 0.9 * buffer if nesterov else buffer)
        return p

    return run


def velocity(rate: Callable[[int], float] = lambda step: 0.1, nesterov: bool = False) -> Reference:
    """Keras and scikit-learn: the velocity is of steps."""

    def run(p: Any, gs: Any) -> Any:
        v = np.zeros_like(p)
        for step, g in enumerate(gs):
            v = 0.9 * v - rate(step) * g
            p = p + (0.9 * v - rate(step) * g if nesterov else v)
        return p

    return run


def rmsprop(beta: float, eps: float, inside: bool, momentum: float = 0.0, centered: bool = False) -> Reference:
    def run(p: Any, gs: Any) -> Any:
        v = c = b = np.zeros_like(p)
        for g in gs:
            v, c = beta * v + (1 - beta) * g * g, beta * c + (1 - beta) * g
            variance = v - c * c if centered else v
            b = momentum * b + g / (np.sqrt(variance + eps) if inside else np.sqrt(variance) + eps)
            p = p - 0.01 * b
        return p

    return run


def adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    hat: bool = False,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    amsgrad: bool = False,
) -> Reference:
    """With `hat` the epsilon is added to the root of the uncorrected moment, as in section 2 of the paper."""

    def run(p: Any, gs: Any) -> Any:
        m = v = largest = np.zeros_like(p)
        for t, given in enumerate(gs, start=1):
            g = given + coupled * p
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            largest = np.maximum(largest, v) if amsgrad else v
            p = p * (1 - 0.01 * decoupled)
            if hat:
                p = p - 0.01 * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(largest) + eps)
            else:
                p = p - 0.01 * (m / (1 - b1**t)) / (np.sqrt(largest / (1 - b2**t)) + eps)
        return p

    return run


def mistaken(power: Callable[[int], float], stored: bool = False) -> Reference:
    """Adam whose bias correction has this power in place of the number of the step."""

    def run(p: Any, gs: Any) -> Any:
        m = v = np.zeros_like(p)
        for t, g in enumerate(gs, start=1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            mt, vt = m / (1 - 0.9 ** power(t)), v / (1 - 0.999 ** power(t))
            m, v = (mt, vt) if stored else (m, v)
            p = p - 0.01 * mt / (np.sqrt(vt) + 1e-8)
        return p

    return run


def norm_clipped(eps: float) -> Reference:
    """PyTorch adds 1e-6 to the norm."""
    return sgd(change=lambda g, p: g * min(1.0, 1.0 / (np.linalg.norm(g) + eps)))


def every_fourth(p: Any, gs: Any) -> Any:
    for first in range(0, len(gs), 4):
        p = p - 0.1 * np.mean(gs[first : first + 4], axis=0)
    return p


MISTAKES: dict[str, Reference] = {
    "`m / (1 - beta1)`, `v / (1 - beta2)`": mistaken(lambda t: 1),
    "`m / (1 - beta1**epoch)`, `v / (1 - beta2**epoch)`, in a loop over batches": mistaken(lambda t: 1 + (t - 1) // 4),
    "`m = m / (1 - beta1**t)`, `v = v / (1 - beta2**t)`": mistaken(lambda t: t, stored=True),
    "`m`, `v`, as they are": mistaken(lambda t: math.inf),
}
HALF = sgd(change=lambda g, p: np.clip(g, -0.5, 0.5))
REFERENCES: dict[str, Reference] = {
    "`SGD(params, lr=0.1)`": sgd(),
    "`SGD(params, lr=0.1, momentum=0.9)`": torch_momentum(),
    "`SGD(params, lr=0.1, momentum=0.9, dampening=0.5)`": torch_momentum(0.5),
    "`SGD(params, lr=0.1, momentum=0.9, nesterov=True)`": torch_momentum(nesterov=True),
    "`SGD(params, lr=0.1, weight_decay=0.01)`": sgd(change=lambda g, p: g + 0.01 * p),
    "`SGD(params, lr=0.1, maximize=True)`": sgd(-0.1),
    "`RMSprop(params, lr=0.01)`": rmsprop(0.99, 1e-8, False),
    "`RMSprop(params, lr=0.01, alpha=0.9, centered=True, momentum=0.9)`": rmsprop(0.9, 1e-8, False, 0.9, True),
    "`Adam(params, lr=0.01)`": adam(),
    "`Adam(params, lr=0.01, betas=(0.8, 0.99), amsgrad=True)`": adam(0.8, 0.99, amsgrad=True),
    "`Adam(params, lr=0.01, weight_decay=0.1)`": adam(coupled=0.1),
    "`AdamW(params, lr=0.01)`": adam(decoupled=0.01),
    "`clip_grad_norm_(params, 1.0)`, then `SGD(params, lr=0.1)`": norm_clipped(1e-6),
    "`clip_grad_value_(params, 0.5)`, then `SGD(params, lr=0.1)`": HALF,
    "`SGD(0.1, momentum=0.9)`": velocity(),
    "`SGD(0.1, momentum=0.9, nesterov=True)`": velocity(nesterov=True),
    "`SGD(falling, momentum=0.9)`": velocity(falling),
    "`RMSprop(0.01)`": rmsprop(0.9, 1e-7, True),
    "`RMSprop(0.01, rho=0.8, momentum=0.9)`": rmsprop(0.8, 1e-7, True, 0.9),
    "`Adam(0.01)`": adam(eps=1e-7, hat=True),
    "`Adam(0.01, weight_decay=0.1)`": adam(eps=1e-7, hat=True, decoupled=0.1),
    "`AdamW(0.01)`": adam(eps=1e-7, hat=True, decoupled=0.004),
    "`SGD(0.1, clipnorm=1.0)`": norm_clipped(0.0),
    "`SGD(0.1, global_clipnorm=1.0)`": norm_clipped(0.0),
    "`SGD(0.1, clipvalue=0.5)`": HALF,
    "`sgd(0.1, momentum=0.9)`": torch_momentum(),
    "`sgd(0.1, momentum=0.9, nesterov=True)`": torch_momentum(nesterov=True),
    "`rmsprop(0.01)`": rmsprop(0.9, 1e-8, True),
    "`rmsprop(0.01, eps_in_sqrt=False)`": rmsprop(0.9, 1e-8, False),
    "`adam(0.01, b1=0.8, b2=0.99)`": adam(0.8, 0.99),
    "`adamw(0.01)`": adam(decoupled=1e-4),
    "`chain(clip_by_global_norm(1.0), sgd(0.1))`": norm_clipped(0.0),
    "`chain(add_decayed_weights(0.1), sgd(0.1))`": sgd(change=lambda g, p: g + 0.1 * p),
    "`MultiSteps(sgd(0.1), 4)`": every_fourth,
    '`solver="sgd", learning_rate_init=0.1`': velocity(nesterov=True),
    '`solver="sgd", nesterovs_momentum=False, learning_rate_init=0.1`': velocity(),
    '`solver="sgd"` with a falling rate': velocity(falling, nesterov=True),
    '`solver="adam", learning_rate_init=0.01`': adam(hat=True),
    **FAMILY,
    **MISTAKES,
}


def test_every_row_has_a_reference() -> None:
    assert len(ROWS) == len({there for there, _ in ROWS})
    assert {there for there, _ in ROWS} == set(REFERENCES)


@pytest.mark.parametrize(("there", "here"), ROWS)
def test_a_line_gives_the_other_librarys_numbers(there: str, here: str) -> None:
    rng = np.random.default_rng(0)
    # Small gradients are where the places of epsilons show.
    p, gs = rng.normal(size=SIZE), rng.normal(size=(STEPS, SIZE)) * 10.0 ** rng.integers(-4, 1, size=SIZE)
    found = p.copy()
    opt = eval(here, namespace()).init(found)
    for g in gs:
        opt.step(g)
    np.testing.assert_allclose(found, REFERENCES[there](p, gs), rtol=1e-12, atol=1e-14)
    assert np.abs(found - p).max() > 1e-3


OTHER_DEFAULTS = [
    ("go.RMSProp(0.01)", "`RMSprop(params, lr=0.01)`"),
    ("go.Momentum(0.1)", "`SGD(0.1, momentum=0.9)`"),
    ("go.Adam(0.01, eps=1e-7)", "`Adam(0.01)`"),
    ("go.Momentum(falling, dampening=0.0)", "`SGD(falling, momentum=0.9)`"),
    ("go.RMSProp(0.01, eps=1e-7)", "`RMSprop(0.01)`"),
    ("go.AdaGrad(0.1)", "`adagrad(0.1)`"),
    ("go.AdaBelief(0.01)", "`nadam(0.01)`"),
    ("go.AdamW(0.01)", "`adamw(0.01)`"),
    *(("go.Adam(0.01)", there) for there in MISTAKES),
]


@pytest.mark.parametrize(("here", "there"), OTHER_DEFAULTS)
def test_the_references_tell_conventions_apart(here: str, there: str) -> None:
    with pytest.raises(AssertionError):
        test_a_line_gives_the_other_librarys_numbers(there, here)


def test_complex_parameters_as_pytorch_sees_them() -> None:
    rng = np.random.default_rng(1)
    z, gs = rng.normal(size=4) + 1j * rng.normal(size=4), rng.normal(size=(STEPS, 4)) + 1j * rng.normal(size=(STEPS, 4))
    params = z.copy()
    opt = go.Adam(0.01).init(params.view(params.real.dtype))
    for g in gs:
        opt.step(g.view(g.real.dtype))
    parts = [adam()(part(z), part(gs)) for part in (np.real, np.imag)]
    np.testing.assert_allclose(params, parts[0] + 1j * parts[1], rtol=1e-12)


def test_a_boundary_of_keras_belongs_to_the_value_before() -> None:
    keras = [0.1 if step <= 10 else 0.01 for step in range(20)]
    assert [go.schedules.Piecewise([0.1, 0.01], [11])(step) for step in range(20)] == keras


def test_a_run_by_hand_continues() -> None:
    """With the state dict that the page fills, from moments that were kept by hand."""
    rng = np.random.default_rng(2)
    p, gs = rng.normal(size=SIZE), rng.normal(size=(STEPS, SIZE))
    x, m, v = adam()(p, gs[:5]), np.zeros(SIZE), np.zeros(SIZE)
    for g in gs[:5]:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    opt = go.Adam(0.01).init(x)
    state = opt.state_dict()
    state["state"] = {"m": m, "v": v}
    state["t"] = state["counts"] = 5
    opt.load_state_dict(state)
    for g in gs[5:]:
        opt.step(g)
    np.testing.assert_allclose(x, adam()(p, gs), rtol=1e-12)


def test_the_mistakes_change_steps_as_the_page_says() -> None:
    """A step over the learning rate, for a constant gradient."""
    t = np.arange(1, 20001)
    none = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    missing = none * math.sqrt(0.001) / 0.1
    tenth = none[999] * math.sqrt(1 - 0.999**10) / (1 - 0.9**10)
    x = np.zeros(1)
    again = namespace()["CorrectedAgain"](0.01).init(x)
    for _ in range(50):
        again.step(np.ones(1))
    assert (missing.argmax(), none.argmax()) == (11, 11)
    assert none[1749] < 1.1005
    page = " ".join(PAGE.split())
    for said in (
        f"grow to {missing.max():.2f} times `lr` after 12 steps, and end at {missing[-1]:.2f} times",
        f"{tenth:.2f} times `lr` after ten epochs",
        f"moves by {-x[0] / 0.01:.1f} times `lr`",
        f"{none[0]:.1f} times as long as `lr`, the twelfth {none[11]:.1f} times, and the 1,750th still {none[1749]:.1f}",
    ):
        assert said in page


def test_every_other_code_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests with PyTorch run what needs it."""
    monkeypatch.chdir(tmp_path)
    scope = {**namespace(), "rule": go.SGD(0.1), "c": 0.1, "alpha": 0.1, "count": 10, "params": np.ones(2, complex)}
    scope |= {"grads": np.ones(4), "g": np.ones(4), "lr": 0.1}
    rows = {here for _, here in ROWS}
    for code in re.findall(r"`((?:go\.(?!torch)|opt\b)[^`]*[)])`", PAGE):
        if code not in rows:
            exec(code, {**scope, "opt": go.SGD(0.1).init(np.ones(4))})
