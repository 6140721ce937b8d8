"""`gpuopt.graph`, on a GPU made of software; and on a real one, where what was asked of it in which order is not seen."""

from __future__ import annotations

import contextlib
import re
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import check
from gpuopt.optimizer import capture
from gpuopt.training import epochs
from tests.support.captures import CHAINS, SCHEDULE, arrays, fill, on_device
from tests.support.executors import mostly_asked_for
from tests.support.optimizers import alike, everything
from tests.support.refusals import refused, table
from tests.support.variants import bits

SCALED = go.chain(go.LossScale(2.0**20, interval=2), go.clip_global_norm(0.5), go.Adam(SCHEDULE))
RULES = {**CHAINS, "scaled": SCALED}
graph: Any = go.graph


class Streams:
    """The streams of a GPU, the caller's and the one at its side; and what was asked of an emulated one, in words."""

    def __init__(self, emulated: bool) -> None:
        self.emulated, self.fails = emulated, False
        if emulated:
            from tests.support.emulated_gpu import streams

            self._log, self._before = streams.log, len(streams.log)

    @property
    def log(self) -> list[str]:
        found, recorded = [], dict[int, str]()
        for what, *of in list(self._log)[self._before :]:
            if what in {"begin", "end"}:
                found.append(what)
            elif what in {"record", "order", "graph"}:
                name = "side" if of[-1] > 2 else "caller"
                if what == "record":
                    recorded[of[0]] = name
                else:
                    found.append(f"{name} waits for {recorded[of[0]]}" if what == "order" else f"launch on {name}")
        return found

    def capturing(self) -> bool:
        """Whether what is launched now is captured; what comes after a capture is launched where the caller wants it."""
        import cupy

        return bool(cupy.cuda.get_current_stream().is_capturing())


@pytest.fixture
def streams(some_gpu: None, gpu_is_emulated: bool) -> Streams:
    return Streams(gpu_is_emulated)


def data() -> tuple[list[Any], list[Any]]:
    """Parameters and gradients of several shapes on the device."""
    params, grads = map(on_device, arrays())
    return params, grads


def batch(value: float = 0, dtype: str = "float64") -> Any:
    import cupy

    return cupy.full(1, value, dtype)


def model(streams: Streams, opt: Any, grads: list[Any]) -> tuple[Any, list[int]]:
    """``loss_and_grad(params, x)``: gradients of the step that x names, and the sum of the parameters for a loss."""
    import cupy

    steps, calls = [[g.get() for g in fill(on_device(arrays()[1]), step)] for step in range(8)], [0]
    tables = on_device([np.stack(of) for of in zip(*steps, strict=True)])

    def loss_and_grad(params: Any, x: Any) -> Any:
        calls[0] += 1
        for g, rows in zip(grads, tables, strict=True):
            g[...] = rows.take(x.astype("int32"), axis=0)[0]
            if "LossScale.scale" in opt.numbers:
                cupy.multiply(g, opt.loss_scale, out=g)
        if streams.fails and streams.capturing():
            with contextlib.suppress(RuntimeError):
                cupy.cuda.Device().synchronize()
        return sum(p.sum() for p in params), grads

    return loss_and_grad, calls


@pytest.mark.parametrize("name", mostly_asked_for(RULES, "norm"))
def test_replays_are_steps(name: str, streams: Streams) -> None:
    """The bits of single steps, with another learning rate in between; nothing moves before the first."""
    found, rule = [], RULES[name]
    changed = {field: 0.25 for field in rule.hyperparameters if field.rpartition(".")[2] in ("beta2", "max_norm", "beta")}
    for replays in (False, True):
        params, grads = data()
        x, losses = batch(0, "int32"), []
        opt = rule.init(params, capturable=True)
        loss_and_grad, calls = model(streams, opt, grads)
        if replays:
            before = everything(opt, look=alike)
            step = graph(loss_and_grad, opt, x)
            assert everything(opt, look=alike) == before
            assert calls[0] == 4
        for k in range(8):
            if k == 5:
                opt.rule = opt.rule.replace(changed)
            if replays:
                losses.append(float(step(batch(k, "int32"))))
            else:
                x[...] = k
                loss, g = loss_and_grad(params, x)
                opt.step(g, loss=loss)
                losses.append(float(loss))
        assert calls[0] == (4 if replays else 8)
        found.append([everything(opt, look=alike), list(map(repr, losses)), [float(n) for n in opt.numbers.values()]])
    assert found[0] == found[1]


def test_the_order_of_things(emulated_gpu: None, streams: Streams) -> None:
    params, grads = data()
    opt = go.Adam(0.1).init(params, capturable=True)
    x = batch(0, "int32")
    step = graph(model(streams, opt, grads)[0], opt, x)
    prepared = ["side waits for caller", "begin", "end", "caller waits for side"]
    assert streams.log == prepared
    assert step.batch == (x,)
    loss = step()
    assert step() is loss
    assert type(loss.data.mem).__name__ == "UnownedMemory"  # of the graph's own pool
    assert streams.log == [*prepared, "launch on caller", "launch on caller"]
    assert (opt.t, opt.counts) == (2, [2] * 4)
    opt.step(grads)
    step()
    assert opt.t == 4


@pytest.mark.parametrize("name", mostly_asked_for(RULES, "norm"))
def test_a_rehearsal_changes_nothing(name: str, streams: Streams) -> None:
    """Whatever the gradients hold; and it makes all that a step needs."""
    params, grads = data()
    opt = RULES[name].init(params, capturable=True)
    opt.step(fill(grads, 0))
    before = [*everything(opt, look=alike), [float(n) for n in opt.numbers.values()]]
    capturing = opt._capturing()
    assert capturing is not None
    for step in (1, 3):
        capturing.dry_run(fill(grads, step))
        capturing.dry_run([grads[0], None, None, grads[3]])
        capturing.dry_run([None] * 4)
    assert [*everything(opt, look=alike), [float(n) for n in opt.numbers.values()]] == before


@pytest.mark.parametrize("failing", [1, 3, 4])
def test_an_error_of_the_users_ends_the_capture(failing: int, streams: Streams) -> None:
    """It is raised as it is; the optimizer and the streams are as before."""
    params, grads = data()
    opt = SCALED.init(params, capturable=True)
    inner, calls = model(streams, opt, grads)

    def loss_and_grad(params: Any, x: Any) -> Any:
        if calls[0] == failing - 1:
            raise KeyError("mine")
        return inner(params, x)

    before = everything(opt, look=alike)
    with pytest.raises(KeyError, match="mine"):
        graph(loss_and_grad, opt, batch())
    assert not streams.capturing()
    if streams.emulated:
        assert streams.log[-1] == "caller waits for side"
        assert streams.log.count("end") == streams.log.count("begin") == (failing == 4)
    assert everything(opt, look=alike) == before
    opt.step(grads)
    assert opt.t == 1
    graph(inner, opt, batch())()
    assert opt.t == 2


REFUSALS = [
    NotImplementedError("calling cuBLAS API during stream capture is currently unsupported"),
    RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["cublas", "synchronize"])
def test_what_cannot_be_captured_is_named(refusal: Exception, streams: Streams) -> None:
    params, grads = data()
    opt = go.Adam(0.1).init(params, capturable=True)
    inner, calls = model(streams, opt, grads)

    def loss_and_grad(params: Any, x: Any) -> Any:
        if calls[0] == 3:
            raise refusal  # in place of params @ x
        return inner(params, x)

    with pytest.raises(RuntimeError) as caught:
        graph(loss_and_grad, opt, batch())
    message = str(caught.value)
    assert message.startswith(f"go.graph: {refusal}. CuPy captures neither cuBLAS (@, dot,")
    assert re.search(r"test_capture.py, line \d+, in loss_and_grad:\n    raise refusal  # in place of params @ x$", message)
    assert caught.value.__cause__ is refusal
    opt.step(grads)
    assert opt.t == 1


def test_a_capture_that_comes_to_nothing_is_reported(streams: Streams) -> None:
    """As where the user's function asked for something illegal, and hid the error."""
    params, grads = data()
    opt = go.Adam(0.1).init(params, capturable=True)
    streams.fails = True
    with pytest.raises(RuntimeError, match=r"^go.graph: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: .*CuPy captures neither"):
        graph(model(streams, opt, grads)[0], opt, batch())
    if streams.emulated:
        assert streams.log[-1] == "caller waits for side"
    opt.step(grads)
    assert opt.t == 1


def test_a_stream_that_does_not_come_back_is_reported(streams: Streams) -> None:
    """Nothing is refused before the capture ends."""
    import cupy

    params, grads = data()
    opt = go.Adam(0.1).init(params, capturable=True)
    inner, other = model(streams, opt, grads)[0], cupy.cuda.Stream(non_blocking=True)

    def loss_and_grad(params: Any, x: Any) -> Any:
        other.wait_event(cupy.cuda.get_current_stream().record())
        with other:
            x += 0
        return inner(params, x)

    with pytest.raises(
        RuntimeError, match=r"what loss_and_grad did cannot be captured \(cudaErrorStreamCaptureUnjoined.*CuPy "
    ):
        graph(loss_and_grad, opt, batch())
    opt.step(grads)
    assert opt.t == 1


@pytest.mark.parametrize("fails", [True, False])
def test_a_capture_may_give_other_gradients(fails: bool, streams: Streams) -> None:
    """The captured call gives other gradients than the rehearsal, and the graph may never be replayed."""
    found = []
    for replays in (False, True):
        params, grads = data()
        opt = go.chain(go.skip_nonfinite(), go.Adam(0.1)).init(params, capturable=True)
        inner, calls = model(streams, opt, grads)
        others = [g.copy() for g in grads]

        def loss_and_grad(params: Any, x: Any, inner: Any = inner, calls: Any = calls, others: Any = others) -> Any:
            loss, made = inner(params, x)
            return loss, others if calls[0] == 4 else made

        streams.fails = fails
        if replays:
            for _ in range(2):
                calls[0] = 0
                with pytest.raises(RuntimeError, match="CAPTURE_INVALIDATED") if fails else contextlib.nullcontext():
                    graph(loss_and_grad, opt, batch())
        opt.step(others)
        opt.step(others)
        streams.fails = False
        if replays:
            calls[0] = 0
            graph(loss_and_grad, opt, batch())()
        else:
            opt.step(others)
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]


def test_what_a_graph_reads_is_not_written_again(streams: Streams) -> None:
    """Single steps in which ever other arrays have a gradient, more than lists are kept of, leave the graph its own."""
    found = []
    for replays in (False, True):
        params, grads = data()
        opt = go.chain(go.clip_global_norm(0.5), go.Momentum(0.1)).init(params, capturable=True)
        step = graph(model(streams, opt, grads)[0], opt, batch()) if replays else None
        for k in range(16):
            opt.step([g.copy() if k >> n & 1 else None for n, g in enumerate(fill(grads, 0))])
        if step is None:
            opt.step(fill(grads, 0))
        else:
            step()
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]


@table(
    ("two arrays", lambda x: (x, x), ValueError, ("captured with 1 arrays for its batch, got 2",)),
    ("a number", lambda x: (1.0,), TypeError, ("batch[0] must be a CuPy array, got float: use cupy.asarray",)),
    (
        "a tuple",
        lambda x: ((x,),),
        TypeError,
        ("batch[0] must be a CuPy array, got tuple: give the arrays one by one, as in *batch",),
    ),
    (
        "another shape",
        lambda x: (x.repeat(2),),
        ValueError,
        ("batch[0] must be float32 (1,), as it was captured, got float32 (2,)",),
    ),
    (
        "another dtype",
        lambda x: (batch(),),
        ValueError,
        ("batch[0] must be float32 (1,), as it was captured, got float64 (1,)",),
    ),
)
def test_a_bad_batch_makes_no_step(streams: Streams, action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    params, grads = data()
    opt = go.Adam(0.1).init(params, capturable=True)
    x = batch(0, "float32")
    step = graph(model(streams, opt, grads)[0], opt, x)
    refused(lambda: step(*action(x)), error, words)
    assert opt.t == 0


def test_another_structure_is_to_be_captured_anew(streams: Streams) -> None:
    """Other numbers are not; and what was captured before stays refused, as its memory may be gone."""
    params, grads = data()
    opt = go.chain(go.weight_decay(0.1), go.Adam(SCHEDULE)).init(params, capturable=True)
    step = graph(model(streams, opt, grads)[0], opt, batch())
    opt.rule = opt.rule.replace({"weight_decay.weight_decay": 0.2})
    step()
    first = opt.rule
    for changed in ({"weight_decay.weight_decay": 0.0}, {"lr": 0.1}):
        opt.rule = opt.rule.replace(changed)
        with pytest.raises(RuntimeError, match="another structure than the captured step"):
            step()
        opt.rule = first
        with pytest.raises(RuntimeError, match="another structure than the captured step"):
            step()
    assert opt.t == 1
    step = graph(model(streams, opt, grads)[0], opt, batch())
    opt.load_state_dict(opt.state_dict())
    step()
    assert opt.t == 2
    params[0] = params[0].copy()
    with pytest.raises(ValueError, match=r"params\[0\] is no longer the array that was given to init"):
        step()


FROZEN = go.chain(go.freeze("*"), go.Adam())


@table(
    ("no function", lambda f, opt, g: (None, opt), TypeError, ("loss_and_grad must be callable, not None",)),
    (
        "a rule",
        lambda f, opt, g: (f, go.Adam()),
        TypeError,
        ("opt must be an Optimizer, from rule.init(params, capturable=True), got Adam",),
    ),
    (
        "not capturable",
        lambda f, opt, g: (f, go.Adam().init(opt.params)),
        ValueError,
        ("make it with rule.init(params, capturable=True)",),
    ),
    (
        "nothing to update",
        lambda f, opt, g: (f, FROZEN.init(opt.params, capturable=True)),
        ValueError,
        ("updates none of the arrays",),
    ),
    (
        "a number",
        lambda f, opt, g: (f, opt, 1.0),
        TypeError,
        ("batch[0] must be a CuPy array, ", " got float: use cupy.asarray"),
    ),
    (
        "a tuple",
        lambda f, opt, g: (f, opt, (batch(),)),
        TypeError,
        ("must be a CuPy array", " got tuple: give the arrays one by one, as in *batch"),
    ),
    (
        "a step inside",
        lambda f, opt, g: (lambda params: opt.step(g), opt),
        RuntimeError,
        ("by a call inside its own step or inside go.graph, and cannot be",),
    ),
    (
        "no pair",
        lambda f, opt, g: (lambda params: 3, opt),
        TypeError,
        ("loss_and_grad must return a pair (loss, grads), got int",),
    ),
    (
        "a loss on the host",
        lambda f, opt, g: (lambda params: (3.0, g), opt),
        TypeError,
        ("the loss must be a 0-d CuPy array, which replays can write, not float: leave it on the device",),
    ),
    (
        "a gradient missing",
        lambda f, opt, g: (lambda params: (g[0].sum(), g[1:]), opt),
        ValueError,
        ("grads must have 4 entries, got 3",),
    ),
)
def test_what_is_captured_is_checked(streams: Streams, action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    params, grads = data()
    opt = go.Adam().init(params, capturable=True)
    arguments = action(model(streams, opt, grads)[0], opt, grads)
    refused(lambda: graph(*arguments), error, words)
    assert not streams.capturing()


def test_numpy_arrays_are_refused() -> None:
    opt = go.Adam().init(np.ones(3), capturable=True)
    with pytest.raises(ValueError, match=r"a CUDA graph needs an optimizer of CuPy arrays; for NumPy arrays call opt.step"):
        graph(lambda x: (x, x), opt)


def test_a_pair_is_asked_for_as_in_fit() -> None:
    assert vars(epochs)["check"] is check


def test_memory_keeps_the_pool_it_is_of() -> None:
    """An array may outlive the graph in whose pool it was made."""
    pytest.importorskip("cupy")

    class Pool:
        def malloc(self, size: int) -> Any:
            return SimpleNamespace(ptr=512 * size, device_id=0)

    pool = Pool()
    alive = weakref.ref(pool)
    memory = capture._allocator(pool)(3)
    assert (memory.ptr, memory.mem.size, memory.device_id) == (1536, 3, 0)
    del pool
    assert alive() is not None
    del memory
    assert alive() is None


# On a GPU.


def fitted(opt: Any) -> Any:
    """The mean square of ``w·x - y``, in elementwise functions and sums; its gradient times the scale of the loss."""

    def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
        error = params["w"] * x + params["b"] - y
        scale = opt.loss_scale if "LossScale.scale" in opt.numbers else 1.0
        grads = {"w": (2 * error * x * scale).mean(axis=0), "b": (2 * error * scale).mean(axis=0)}
        return (error**2).mean(), grads

    return loss_and_grad


def gpu_data(seed: int = 0) -> tuple[Any, Any, Any]:
    import cupy

    rng = np.random.default_rng(seed)
    x, y = (cupy.asarray(rng.normal(size=(16, 200)), dtype="float32") for _ in range(2))
    return {"w": cupy.zeros(200, "float32"), "b": cupy.zeros(200, "float32")}, x, y


@pytest.mark.gpu
@pytest.mark.parametrize("stream", ["default", "own"])
@pytest.mark.parametrize("name", [name for name in RULES if name != "partition"])
def test_replays_on_a_gpu_are_steps(name: str, stream: str) -> None:
    import cupy

    found, rule = [], RULES[name]
    changed = {field: 0.25 for field in rule.hyperparameters if field.rpartition(".")[2] in ("beta2", "max_norm", "beta")}
    with contextlib.nullcontext() if stream == "default" else cupy.cuda.Stream(non_blocking=True):
        for captured in (False, True):
            params, x, y = gpu_data()
            batches = [gpu_data(k)[1:] for k in range(8)]
            batches[3][0][0, 0] = np.inf if name in ("skip", "scaled") else 0.0
            opt = rule.init(params, capturable=True)
            step = graph(fitted(opt), opt, x, y) if captured else None
            assert opt.t == 0
            losses = []
            for k, batch in enumerate(batches):
                if k == 5:
                    opt.rule = opt.rule.replace(changed)
                if step is not None:
                    losses.append(step(*batch).copy())
                else:
                    loss, grads = fitted(opt)(params, *batch)
                    opt.step(grads, loss=loss)
                    losses.append(loss)
            arrays = [*params.values(), *(a for tree in opt.state.values() for a in tree.values()), *opt.numbers.values()]
            found.append([[bits(a).tolist() for a in (*arrays, *losses)], opt.t, opt.counts])
    assert found[0] == found[1]


@pytest.mark.gpu
def test_a_new_learning_rate_reaches_the_graph() -> None:
    params, x, y = gpu_data()
    opt = go.SGD(0.0).init(params, capturable=True)
    opt.rule = go.SGD(0.1)
    step = graph(fitted(opt), opt, x, y)
    step()
    opt.rule = go.SGD(1e-30)
    before = params["w"].copy()
    step()
    assert bool((params["w"] == before).all())
    assert opt.t == 2


@pytest.mark.gpu
@pytest.mark.parametrize("how", ["cublas", "host"])
def test_what_a_gpu_cannot_capture_is_named(how: str) -> None:
    import cupy

    params, x, y = gpu_data()
    opt = go.Adam().init(params, capturable=True)
    grads = {"w": cupy.ones(200, "float32"), "b": cupy.ones(200, "float32")}

    def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
        loss = (x @ y.T).sum() if how == "cublas" else cupy.asarray(float(x.sum()))
        return loss, grads

    with pytest.raises(RuntimeError, match=r"go.graph: (?s:.*)CuPy captures neither cuBLAS(?s:.*)in loss_and_grad"):
        graph(loss_and_grad, opt, x, y)
    opt.step(grads)
    assert opt.t == 1
    assert float(graph(fitted(opt), opt, x, y)()) > 0
    assert opt.t == 2


@pytest.mark.gpu
def test_a_graph_keeps_its_memory() -> None:
    """What is allocated, freed and collected in between does not touch it."""
    import gc

    import cupy

    found = []
    for disturbed in (False, True):
        params, x, y = gpu_data()
        opt = go.Adam(SCHEDULE).init(params, capturable=True)
        step = graph(fitted(opt), opt, x, y)
        del x, y
        for _ in range(5):
            step()
            if disturbed:
                gc.collect()
                cupy.get_default_memory_pool().free_all_blocks()
                junk = [cupy.full(64_000, np.nan, "float32") for _ in range(50)]
                del junk
        found.append([bits(p).tolist() for p in params.values()])
    assert found[0] == found[1]


def moving(how: str) -> Any:
    """A model whose gradients lie elsewhere in the captured call than in those before, or are kept."""
    kept: dict[str, Any] = {"calls": 0}

    def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
        kept["calls"] += 1
        if how == "moves":
            kept[f"junk {kept['calls']}"] = x[0] * 1
        error = params["w"] * x + params["b"] - y
        grads = {"w": (2 * error * x).mean(axis=0), "b": (2 * error).mean(axis=0)}
        loss = (error * error).mean()
        if how == "keeps all":
            kept[f"all {kept['calls']}"] = error, loss, grads
        elif how == "keeps the last":
            kept["error"], kept["loss"], kept["grads"] = error, loss, grads
        elif how == "keeps the residual":
            kept["error"] = error
        elif how == "alternates":
            own = kept.setdefault(kept["calls"] % 2, {name: g * 0 for name, g in grads.items()})
            for name, g in grads.items():
                own[name][...] = g
            grads = own
        return loss, grads

    return loss_and_grad


@pytest.mark.gpu
@pytest.mark.parametrize("rule", [go.Adam(SCHEDULE), CHAINS["norm"]], ids=["Adam", "norm"])
@pytest.mark.parametrize("how", ["plain", "moves", "alternates", "keeps all", "keeps the last", "keeps the residual"])
def test_a_model_may_keep_and_move_what_it_makes(how: str, rule: Any) -> None:
    (params, x, y), (twins, *_) = gpu_data(), gpu_data()
    opt, twin = (rule.init(tree, capturable=True) for tree in (params, twins))
    replay, by_hand = graph(moving(how), opt, x, y), moving("plain")
    for _ in range(4):
        loss, grads = by_hand(twins, x, y)
        twin.step(grads)
        assert replay().tolist() == loss.tolist()
    assert everything(opt, look=alike) == everything(twin, look=alike)


@pytest.mark.gpu
def test_what_a_graph_made_outlives_it() -> None:
    import gc

    import cupy

    params, x, y = gpu_data()
    opt = go.Adam(SCHEDULE).init(params, capturable=True)
    kept, inner = [], fitted(opt)

    def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
        kept.append(params["w"] * 0 + 7)
        return inner(params, x, y)

    step = graph(loss_and_grad, opt, x, y)
    loss = step()
    value = float(loss)
    del step
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    junk = [cupy.full(64_000, np.nan, "float32") for _ in range(50)]
    assert float(loss) == value
    assert all(bool((a == 7).all()) for a in kept)
    del junk
