"""Every piece around several rules, on every executor, in every layout, against `support/pieces_reference.py` and PyTorch."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.arrays.dtypes import COMPUTE, state_dtype
from gpuopt.executors import executor_of as choose
from gpuopt.executors.cpu import tiles
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.rules import pieces
from tests.support.examples import examples
from tests.support.executors import ON_CPU
from tests.support.layouts import LAYOUTS, contiguous, placed
from tests.support.pieces import EVERY_EXAMPLE, EXAMPLES, chained, takes_complex
from tests.support.pieces_reference import PARTS, LossScale, Reference
from tests.support.variants import DTYPES as ALL_DTYPES
from tests.support.variants import STRUCTURES, TOLERANCE, bits, on_host, sample, takes

RULES = [go.GradientDescent(0.1), go.Momentum(0.2), go.Adam(0.05)]
PAIRS = [(piece, RULES[number % len(RULES)]) for number, piece in enumerate(EVERY_EXAMPLE)]
DTYPES = ["float16", "float32", "float64", "complex64"]
SHAPES = [(6, 5), (7,), (), (0,)]
STEPS = 7
SKIPPING = (go.skip_nonfinite, go.LossScale)


def test_every_piece_has_a_reference() -> None:
    assert set(PARTS) == set(pieces()), "tests/support/pieces_reference.py needs a class for each piece"
    assert set(EXAMPLES) == set(pieces()), "tests/support/pieces.py needs an example of each piece"


def data(rng: np.random.Generator, dtype: str, steps: int = STEPS) -> tuple[list[Any], list[list[Any]]]:
    """Parameters, and gradients of many sizes; some are None, and one holds a NaN."""
    params = [sample(rng, shape, dtype) for shape in SHAPES]
    gradients: list[list[Any]] = [[sample(rng, shape, dtype, 10.0 ** -(k % 3)) for shape in SHAPES] for k in range(steps)]
    gradients[2][1] = None
    return params, gradients


def close(found: Any, exact: Any, bound: float) -> None:
    """Equal up to rounding; None where None is."""
    if exact is None or found is None:
        assert found is exact
        return
    host = on_host(found)
    assert host.shape == exact.shape
    scale = np.abs(exact) + np.abs(exact).max(initial=0.0)
    assert np.all(np.abs(host.astype(exact.dtype) - exact) <= bound * scale)


@pytest.mark.every("executor", "dtype", pair=PAIRS, executor=ON_CPU, dtype=("bfloat16", "float32", "complex64"))
def test_formula(pair: tuple[Any, Any], dtype: str, xp: Any, rng: np.random.Generator) -> None:
    """Parameters, state and what evaluation gives follow the reference; the layout decides no bit."""
    check_formula(*pair, dtype, xp, rng)


@pytest.mark.every("executor", "dtype", pair=PAIRS, executor=("cupy",), dtype=("float32", "complex64"))
def test_formula_on_a_gpu(pair: tuple[Any, Any], dtype: str, xp: Any, rng: np.random.Generator) -> None:
    """Each chain is a text of its own for each dtype, and other tests have the other dtypes of each piece."""
    check_formula(*pair, dtype, xp, rng)


def check_formula(piece: Any, rule: Any, dtype: str, xp: Any, rng: np.random.Generator) -> None:
    if not takes_complex(piece) and dtype.startswith("complex"):
        with pytest.raises(ValueError, match=f"{type(piece).__name__}: complex numbers have no order"):
            chained(piece, rule).init(xp.ones(2, dtype))
        return
    whole = chained(piece, rule)
    params, gradients = data(rng, dtype)
    if isinstance(piece, SKIPPING):
        gradients[1][0][2, 3] = np.nan
        gradients[4][2] = np.asarray(-np.inf, dtype)
    exact = Reference(whole.pieces, params)
    for g in gradients:
        exact.step(g)
    kept = [COMPUTE[dtype], state_dtype(COMPUTE[dtype], dtype.startswith("complex"))]
    dtypes = dict.fromkeys(exact.state, kept) | {key: [np.dtype(dtype)] for key in ["p", "evaluation"]}
    first: list[Any] = []
    for layout in LAYOUTS:
        placements = [layout] + [contiguous] * 3
        opt = whole.init([placed(p, how, xp) for p, how in zip(params, placements, strict=True)])
        for g in gradients:
            opt.step([None if x is None else placed(x, how, xp) for x, how in zip(g, placements, strict=True)])
        found = {"p": opt.params, **opt.state, "evaluation": opt.evaluation()}
        assert set(opt.state) == {name for name, values in exact.state.items() if any(v is not None for v in values)}
        for name, arrays in found.items():
            wanted = {"p": exact.p, **exact.state, "evaluation": exact.evaluation()}[name]
            for array, value in zip(arrays, wanted, strict=True):
                close(array, value, 4 * TOLERANCE[dtype])
                assert array is None or array.dtype in dtypes[name], name
        now: list[Any] = [None if array is None else bits(array) for arrays in found.values() for array in arrays]
        first = first or now
        assert all(a is b or np.array_equal(a, b) for a, b in zip(now, first, strict=True)), layout
    assert opt.t == STEPS - 2 * isinstance(piece, SKIPPING)
    assert [float(n) for n in opt.numbers.values()] == [
        number for part in exact.parts if isinstance(part, LossScale) for number in (part.scale, part.good)
    ]


@pytest.mark.parametrize("piece", [go.clip(0.3), go.clip_norm(0.5), go.clip_global_norm(0.5, eps=0.0)], ids=repr)
def test_what_is_short_enough_is_left_alone(piece: Any, xp: Any) -> None:
    """Bit for bit, zeros among it: eps is no reason to shrink."""
    opt = chained(piece, go.GradientDescent(1.0)).init([xp.zeros(3), xp.zeros(())])
    opt.step([xp.asarray([0.1, 0.0, -0.2]), xp.asarray(0.0)])
    assert [float(x) for x in opt.params[0]] == [-0.1, 0.0, 0.2]
    assert float(opt.params[1]) == 0.0


@pytest.mark.parametrize("piece", [go.clip(1.0), go.clip_norm(1.0), go.clip_global_norm(1.0), go.centralize()], ids=repr)
def test_nan_is_not_hidden(piece: Any, xp: Any) -> None:
    opt = chained(piece, go.GradientDescent(1.0)).init(xp.zeros(3))
    opt.step(xp.asarray([1.0, np.nan, 2.0]))
    assert bool(xp.isnan(opt.params[1]))


def against(rule: Any, make: Any, change: Any = None, steps: int = 30) -> float:
    """The largest difference from PyTorch's parameters, relative to the largest of each array."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(3)
    shapes = [(4, 3), (5,), (2, 3, 2), (300,)]
    params = [rng.normal(size=shape) for shape in shapes]
    theirs = [torch.nn.Parameter(torch.tensor(p)) for p in params]
    opt, other = rule.init(params), make(torch, theirs)
    for _ in range(steps):
        gradients = [rng.normal(size=shape) * 3.0 for shape in shapes]
        opt.step(gradients)
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = torch.tensor(g)
        if change is not None:
            change(torch, theirs)
        other.step()
    pairs = zip(opt.params, theirs, strict=True)
    return max(float(np.abs(p - t.detach().numpy()).max() / np.abs(t.detach().numpy()).max()) for p, t in pairs)


def torch_adam(torch: Any, params: Any) -> Any:
    return torch.optim.Adam(params, 0.1)


def torch_sgd(torch: Any, params: Any, **more: Any) -> Any:
    return torch.optim.SGD(params, 0.1, **more)


CASES: dict[str, tuple[Any, Any, Any]] = {
    "clip_grad_norm_": (
        go.chain(go.clip_global_norm(1.5), go.Adam(0.1)),
        torch_adam,
        lambda torch, params: torch.nn.utils.clip_grad_norm_(params, 1.5),
    ),
    "clip_grad_norm_ of each": (
        go.chain(go.clip_norm(1.5), go.SGD(0.1)),
        torch_sgd,
        lambda torch, params: [torch.nn.utils.clip_grad_norm_([p], 1.5) for p in params],
    ),
    "clip_grad_value_": (
        go.chain(go.clip(0.5), go.Adam(0.1)),
        torch_adam,
        lambda torch, params: torch.nn.utils.clip_grad_value_(params, 0.5),
    ),
    "weight_decay": (
        go.chain(go.weight_decay(0.1), go.Adam(0.1)),
        lambda torch, params: torch.optim.Adam(params, 0.1, weight_decay=0.1),
        None,
    ),
    "weight_decay, maximize": (
        go.chain(go.maximize(), go.weight_decay(0.1), go.SGD(0.1)),
        lambda torch, params: torch_sgd(torch, params, weight_decay=0.1, maximize=True),
        None,
    ),
    "AdamW": (
        go.chain(go.Adam(0.1), go.decoupled_weight_decay(0.2)),
        lambda torch, params: torch.optim.AdamW(params, 0.1, weight_decay=0.2),
        None,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_as_in_pytorch(case: tuple[Any, Any, Any]) -> None:
    assert against(*case) < 1e-10


@pytest.mark.parametrize("decay", [None, 0.9])
def test_average_as_in_pytorch(decay: float | None) -> None:
    """AveragedModel: the plain mean (SWA) and the exponential one."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    averages = pytest.importorskip("torch.optim.swa_utils")

    rng = np.random.default_rng(4)
    params = [rng.normal(size=(3, 4)), rng.normal(size=3)]
    model = torch.nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        model.weight[...], model.bias[...] = map(torch.tensor, params)
    averaged = averages.AveragedModel(model, multi_avg_fn=None if decay is None else averages.get_ema_multi_avg_fn(decay))
    other = torch.optim.SGD(model.parameters(), 0.1)
    opt = go.chain(go.SGD(0.1), go.average(decay)).init(params)
    for _ in range(30):
        gradients = [rng.normal(size=p.shape) for p in params]
        model.weight.grad, model.bias.grad = map(torch.tensor, gradients)
        other.step()
        averaged.update_parameters(model)
        opt.step(gradients)
    for p, theirs in zip(opt.evaluation(), averaged.module.parameters(), strict=True):
        assert np.abs(p - theirs.detach().numpy()).max() < 1e-10


def test_accumulation_as_in_pytorch() -> None:
    """The gradients of four backward passes, each divided by four, then one step."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(5)
    p = rng.normal(size=20)
    theirs = torch.nn.Parameter(torch.tensor(p))
    opt, other = go.chain(go.accumulate(4), go.clip_global_norm(1.0), go.Adam(0.1)).init(p), torch.optim.Adam([theirs], 0.1)
    for k in range(24):
        g = rng.normal(size=20)
        opt.step(g)
        (theirs * torch.tensor(g)).sum().div(4).backward()
        if k % 4 == 3:
            torch.nn.utils.clip_grad_norm_([theirs], 1.0)
            other.step()
            other.zero_grad()
    assert np.abs(p - theirs.detach().numpy()).max() < 1e-10


def picked(kind: type, most: int) -> st.SearchStrategy[list[Any]]:
    """Pieces of one side, in any order but for what must be first; some may come twice."""
    made = [piece for piece in EVERY_EXAMPLE if isinstance(piece, kind)]
    return st.lists(st.sampled_from(made), max_size=most).map(arranged)


def arranged(chosen: list[Any]) -> list[Any]:
    """The same with one scale of the loss at most, in front."""
    scales = [piece for piece in chosen if isinstance(piece, go.LossScale)]
    return scales[:1] + [piece for piece in chosen if not isinstance(piece, go.LossScale)]


@st.composite
def situations(draw: Any) -> tuple[Any, list[Any], list[list[Any]]]:
    """A random chain, arrays of random dtypes, shapes and layouts, and gradients of which some are None or not finite."""
    before, after = draw(picked(go.GradientPiece, 4)), draw(picked(go.ParameterPiece, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    real = not all(map(takes_complex, after))
    dtypes = st.sampled_from([name for name in ALL_DTYPES if not (real and name.startswith("complex"))])
    shapes = st.sampled_from([(), (0,), (1,), (5, 3), (3, 0, 2), (4, 2, 3), (300,), (17, 33)])
    kinds = [(draw(dtypes), draw(shapes)) for _ in range(draw(st.integers(3, 5)))]
    if draw(st.booleans()):
        kinds = [(kinds[0][0], shape) for _, shape in kinds]

    def made(dtype: str, shape: tuple[int, ...]) -> Any:
        layout = draw(st.sampled_from(LAYOUTS if len(shape) == 2 and all(shape) else [contiguous]))
        return layout(sample(rng, shape, dtype))

    params = [made(*kind) for kind in kinds]
    gradients = [[made(*kind) for kind in kinds] for _ in range(4)]
    for step, index, value in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([None, np.nan, np.inf])), max_size=3)
    ):
        if value is None:
            gradients[step][index] = None
        elif gradients[step][index] is not None and gradients[step][index].size:
            gradients[step][index].reshape(-1)[-1] = value  # a copy where it is no run: then nothing is changed
    last = [rule for rule in STRUCTURES if hasattr(rule, "lr") and not (after and rule._averages)]
    fitting = [rule for rule in last if all(takes(rule, dtype) for dtype, _ in kinds)]
    return go.chain(*before, draw(st.sampled_from(fitting)), *after), params, gradients


def outcome(rule: Any, params: list[Any], gradients: list[list[Any]]) -> tuple[list[Any], Any]:
    """The bits of all that is left after the steps; `params`, whose layout a copy would lose, are then as before."""
    kept = [p.copy() for p in params]
    opt = rule.init(params)
    for g in gradients:
        opt.step(g, loss=1.5)  # for a rule that reads it
    arrays = [array for tree in (opt.params, *opt.state.values(), opt.evaluation()) for array in tree]
    found = [None if array is None else bits(array) for array in arrays], (opt.t, opt.counts, list(opt.state))
    for p, before in zip(params, kept, strict=True):
        p[...] = before
    return found


def same(a: tuple[list[Any], Any], b: tuple[list[Any], Any]) -> bool:
    return a[1] == b[1] and all(x is y or np.array_equal(x, y) for x, y in zip(a[0], b[0], strict=True))


@examples(3)
@given(situations())
def test_numba_has_the_bits_of_numpy(situation: Any) -> None:
    if reason := backend.why_not_numba():
        pytest.skip(reason)
    found = []
    for name in ON_CPU:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GPUOPT_CPU", name)
            found.append(outcome(*situation))
    assert same(*found)


@examples(20)
@given(situations(), st.integers(16, 400), st.integers(1, 3))
def test_layouts_tiles_packs_and_threads_decide_no_bit(situation: Any, tile: int, threads: int) -> None:
    """Nor does a fold over tiles that are no whole chunks."""
    rule, params, gradients = situation
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUOPT_CPU", "numpy")
        plain = outcome(rule, [p.copy() for p in params], [[None if x is None else x.copy() for x in g] for g in gradients])
        assert same(plain, outcome(*situation)), "layout"
        group = cast("type[TileExecutor]", choose(params[0]))
        for name, value in {"tile": tile, "folded": tile, "small": tile // 2, "pack": 2 * tile, "threaded": 0}.items():
            patch.setattr(group, name, value)
        patch.setattr(tiles, "cpu_threads", lambda: threads)
        assert same(plain, outcome(*situation)), "tiles"


@examples(50)
@given(picked(go.GradientPiece, 4), st.sampled_from(RULES), picked(go.ParameterPiece, 3), st.integers(0, 2**32), st.booleans())
def test_random_chains_follow_the_reference(before: list[Any], rule: Any, after: list[Any], seed: int, wide: bool) -> None:
    """Arrays of which each misses a step now and then; where steps are skipped, that comes first."""
    before.sort(key=lambda piece: not isinstance(piece, SKIPPING))
    whole, rng = go.chain(*before, rule, *after), np.random.default_rng(seed)
    wide = wide and bool(all(map(takes_complex, after)))
    params, gradients = data(rng, "complex128" if wide else "float64")
    for step, index in rng.integers((STEPS, len(SHAPES)), size=(6, 2)):
        gradients[step][index] = None
    if before and isinstance(before[0], SKIPPING) and gradients[4][0] is not None:
        gradients[4][0][1, 2] = np.inf
    exact = Reference(whole.pieces, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUOPT_CPU", "numpy")
        opt = whole.init(params)
    for g in gradients:
        exact.step(g)
        opt.step(g)
    for found, wanted in [(opt.params, exact.p), (opt.evaluation(), exact.evaluation())]:
        for array, value in zip(found, wanted, strict=True):
            close(array, value, 1e-9)
