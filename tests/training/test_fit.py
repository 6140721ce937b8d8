"""fit: which examples an update sees, what History keeps, what is refused, and that no device is waited for."""

from __future__ import annotations

import functools
import itertools
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gpuopt.arrays.packages import command
from gpuopt.rules import Adam, GradientDescent, Momentum, clip
from gpuopt.training.checkpoints.checkpointer import Checkpointer
from gpuopt.training.fit import fit
from gpuopt.training.history import History, running_mean
from tests.support.foreign import Frame, OnCuda, OnCudaWithGradient, Sparse

DATA = sys.modules["gpuopt.training.data"]


def problem(count: int = 20, seed: Any = 3) -> Any:
    """Least squares: data (x, y), params, and the loss with its gradient."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=count)
    return (x, y), {"w": np.zeros(3)}


def squares(params: Any, x: Any, y: Any) -> Any:
    error = x @ params["w"] - y
    return (error @ error) / len(x), {"w": 2 * (error @ x) / len(x)}


class Recorder:
    """A loss_and_grad that changes nothing and remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, ...]] = []

    def __call__(self, params: Any, *batch: Any) -> Any:
        self.batches.append(tuple(array.copy() for array in batch))
        return 1.0, np.zeros_like(params)


def seen(batch_size: int | None, count: int = 10, **options: Any) -> Any:
    """The examples of each update, of data that are their own numbers."""
    recorder = Recorder()
    fit(recorder, np.zeros(1), np.arange(count), GradientDescent(), batch_size, **options)
    return [batch[0].tolist() for batch in recorder.batches]


# Batches


@pytest.mark.parametrize(
    ("batch_size", "lengths"),
    [(1, [1] * 10), (4, [4, 4, 2]), (5, [5, 5]), (10, [10]), (None, [10]), (np.int64(4), [4, 4, 2])],
)
def test_batch_lengths(batch_size: int | None, lengths: list[int]) -> None:
    batches = seen(batch_size, epochs=2)
    assert [len(batch) for batch in batches] == lengths * 2


def test_every_epoch_is_a_new_permutation() -> None:
    batches = seen(3, epochs=3)
    epochs = [[*itertools.chain(*batches[first : first + 4])] for first in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != list(range(10))
    assert epochs[0] != epochs[1] != epochs[2]


def test_order_is_numpys_permutation_of_the_seed() -> None:
    rng = np.random.default_rng(7)
    expected = [*rng.permutation(10), *rng.permutation(10)]
    assert [*itertools.chain(*seen(3, epochs=2, seed=7))] == expected


def test_generator_goes_on_in_its_stream() -> None:
    rng = np.random.default_rng(7)
    assert seen(3, epochs=1, seed=rng) + seen(3, epochs=1, seed=rng) == seen(3, epochs=2, seed=7)


def test_without_shuffle_the_given_order() -> None:
    assert [*itertools.chain(*seen(3, epochs=2, shuffle=False))] == [*range(10)] * 2


def test_one_batch_of_all_is_not_shuffled() -> None:
    assert seen(None, epochs=2) == [[*range(10)]] * 2


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1024, 2000])
def test_examples_stay_together_and_complete_in_large_data(batch_size: int | None) -> None:
    count = 2500  # more than is gathered at a time
    recorder = Recorder()
    data = (np.arange(count), np.arange(count)[:, None] * [1, -1])
    fit(recorder, np.zeros(1), data, GradientDescent(), batch_size, epochs=1)
    assert {len(first) for first, _ in recorder.batches[:-1]} == {batch_size}
    first = np.concatenate([batch[0] for batch in recorder.batches])
    second = np.concatenate([batch[1] for batch in recorder.batches])
    assert_array_equal(np.sort(first), np.arange(count))
    assert_array_equal(second, first[:, None] * [1, -1])


def test_data_are_not_altered() -> None:
    data, params = problem()
    before = [array.copy() for array in data]
    fit(squares, params, data, Adam(), batch_size=3, epochs=2)
    for array, copy in zip(data, before, strict=True):
        assert_array_equal(array, copy)


# Updates


def test_updates_are_those_of_a_plain_loop() -> None:
    data, params = problem()
    fit(squares, params, data, Momentum(lr=0.1), batch_size=6, epochs=3, seed=5)

    (x, y), expected = problem()
    optimizer = Momentum(lr=0.1).init(expected)
    rng = np.random.default_rng(5)
    for _ in range(3):
        order = rng.permutation(20)
        for first in range(0, 20, 6):
            part = order[first : first + 6]
            optimizer.step(squares(expected, x[part], y[part])[1])
    assert_array_equal(params["w"], expected["w"])


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_same_seed_same_bits(batch_size: int | None) -> None:
    results = []
    for seed in (1, 1, 2):
        data, params = problem()
        history = fit(squares, params, data, Adam(lr=0.01), batch_size, epochs=4, seed=seed)
        results.append((params["w"].tobytes(), history.loss.tobytes()))
    assert results[0] == results[1]
    assert (results[0] == results[2]) is (batch_size is None)


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_loss_falls(batch_size: int | None) -> None:
    data, params = problem()
    start = squares(params, *data)[0]
    fit(squares, params, data, GradientDescent(lr=0.05), batch_size, epochs=40)
    assert squares(params, *data)[0] < 0.02 * start


def test_optimizer_goes_on_with_its_state() -> None:
    data, params = problem()
    optimizer = Adam(lr=0.01).init(params)
    for _ in range(2):
        fit(squares, params, data, optimizer, batch_size=6, epochs=2, shuffle=False)
    assert optimizer.t == 16

    _, expected = problem()
    fit(squares, expected, data, Adam(lr=0.01), batch_size=6, epochs=4, shuffle=False)
    assert_array_equal(params["w"], expected["w"])


def test_error_in_loss_and_grad_leaves_the_last_update_intact() -> None:
    data, params = problem()
    calls = []

    def failing(params: Any, *batch: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("mine")
        return squares(params, *batch)

    optimizer = GradientDescent(lr=0.1).init(params)
    with pytest.raises(KeyError, match="mine"):
        fit(failing, params, data, optimizer, batch_size=6, shuffle=False)
    assert optimizer.t == 2

    _, expected = problem()
    fit(squares, expected, tuple(array[:12] for array in data), GradientDescent(lr=0.1), 6, epochs=1, shuffle=False)
    assert_array_equal(params["w"], expected["w"])


# History


def test_history_counts_and_loss() -> None:
    data, params = problem()
    history = fit(squares, params, data, GradientDescent(), batch_size=6, epochs=3)
    assert (history.epochs, history.steps) == (3, 12)
    assert history.loss.shape == (12,)
    assert history.loss.dtype == np.float64
    assert history.loss[0] == squares({"w": np.zeros(3)}, *(a[np.random.default_rng(0).permutation(20)[:6]] for a in data))[0]
    assert history.seconds > 0
    assert repr(history).startswith("History(epochs=3, steps=12, seconds=")


def test_no_epochs_is_an_empty_history() -> None:
    data, params = problem()
    history = fit(squares, params, data, Adam(), epochs=0, batch_size=1)
    assert (history.epochs, history.steps, history.loss.tolist()) == (0, 0, [])
    assert_array_equal(params["w"], np.zeros(3))


@pytest.mark.parametrize(
    "kind", [float, int, np.float32, np.float16, np.int64, np.array, lambda value: np.array(value, np.float32)]
)
def test_kinds_of_loss(kind: Any) -> None:
    losses = iter([3, 1, 2])
    history = fit(lambda p, x: (kind(next(losses)), p * 0), np.zeros(2), np.zeros(3), GradientDescent(), 1, epochs=1)
    assert history.loss.tolist() == [3.0, 1.0, 2.0]


def test_loss_in_a_reused_buffer_is_copied() -> None:
    buffer = np.zeros(())

    def loss_and_grad(params: Any, x: Any) -> Any:
        buffer[...] += 1
        return buffer, params * 0

    history = fit(loss_and_grad, np.zeros(2), np.zeros(3), GradientDescent(), 1, epochs=1)
    assert history.loss.tolist() == [1.0, 2.0, 3.0]


def test_history_of_many_updates() -> None:
    count = 2500  # more than one block
    values = np.random.default_rng(0).normal(size=count)
    losses = iter(values)
    history = fit(lambda p, x: (next(losses), p * 0), np.zeros(1), np.zeros(count), GradientDescent(), 1, epochs=1)
    assert_array_equal(history.loss, values)
    history.loss[:] = 0  # a copy
    assert_array_equal(history.loss, values)


@pytest.mark.parametrize(("batch_size", "lines", "scale"), [(6, 2, "log"), (None, 1, "log")])
def test_plot(batch_size: int | None, lines: int, scale: str) -> None:
    data, params = problem()
    history = fit(squares, params, data, GradientDescent(), batch_size, epochs=3)
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    assert history.plot(ax) is ax
    assert_array_equal(ax.lines[0].get_ydata(), history.loss)
    assert_array_equal(ax.lines[0].get_xdata(), np.arange(1, history.steps + 1))
    assert (len(ax.lines), ax.get_yscale(), ax.get_xlabel()) == (lines, scale, "update")


def test_plot_of_a_loss_below_zero_is_not_logarithmic() -> None:
    history = fit(lambda p, x: (-1.0, p * 0), np.zeros(1), np.zeros(4), GradientDescent(), 1, epochs=1)
    figure = pytest.importorskip("matplotlib.figure").Figure()
    assert history.plot(figure.subplots()).get_yscale() == "linear"


def test_plot_makes_its_own_figure() -> None:
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    ax = History().plot()
    figure = ax.get_figure(root=True)
    assert figure is not None
    assert ax.lines[0].get_color() == "#0072B2"  # in the style of gpuopt.plot
    assert plt.fignum_exists(figure.number)
    plt.close(figure)


def test_running_mean() -> None:
    values = np.array([4.0, 2.0, 0.0, 8.0])
    assert running_mean(values, 1).tolist() == [4, 2, 0, 8]
    assert running_mean(values, 2).tolist() == [4, 3, 1, 4]
    assert running_mean(values, 9).tolist() == [4, 3, 2, 3.5]
    assert running_mean(np.empty(0), 3).tolist() == []


# Callback and progress bar


def test_callback_sees_each_epoch_and_stops() -> None:
    calls = []

    def callback(history: Any) -> Any:
        calls.append((history.epochs, history.steps, history.loss.size, history.seconds))
        return history.epochs == 3

    data, params = problem()
    history = fit(squares, params, data, Adam(), batch_size=6, epochs=9, callback=callback)
    assert [call[:3] for call in calls] == [(1, 4, 4), (2, 8, 8), (3, 12, 12)]
    assert 0 < calls[0][3] <= calls[1][3] <= calls[2][3]
    assert (history.epochs, history.steps) == (3, 12)


@pytest.mark.parametrize("answer", [None, False, 0])
def test_callback_that_does_not_stop(answer: Any) -> None:
    data, params = problem()
    assert fit(squares, params, data, Adam(), batch_size=6, epochs=4, callback=lambda history: answer).epochs == 4


def test_progress_bar_counts_updates(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    data, params = problem()
    history = fit(squares, params, data, Adam(), batch_size=6, epochs=3, progress=True)
    shown = capsys.readouterr().err
    assert "12/12" in shown
    assert "epoch 1/3" in shown
    assert f"loss={history.loss[0]:.4g}" in shown


def test_no_bar_without_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)  # importing it fails
    data, params = problem()
    fit(squares, params, data, Adam(), batch_size=6, epochs=3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("tqdm.auto", lambda: fit(squares, problem()[1], problem()[0], Adam(), 5, progress=True)),
        ("matplotlib.pyplot", lambda: History().plot()),
    ],
)
def test_missing_optional_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str, use: Any) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"needs {module.split('.', maxsplit=1)[0]}: {command(module.partition('.')[0])}"):
        use()


# Losses that are not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float32(np.nan), np.array(np.inf)])
def test_loss_not_finite_stops_before_its_update(bad: Any) -> None:
    losses = iter([1.0] * 5 + [bad] + [1.0] * 9)
    params = np.zeros(1)
    optimizer = GradientDescent(lr=1.0).init(params)
    with pytest.raises(FloatingPointError, match=rf"the loss is {float(bad)} at update 6 \(epoch 2\)"):
        fit(lambda p, x: (next(losses), np.ones(1)), params, np.zeros(4), optimizer, 1, epochs=4)
    assert optimizer.t == 5
    assert params == [-5.0]
    with pytest.raises(FloatingPointError, match=r"at update 1 \(epoch 1\): params or the data may not be finite$"):
        fit(lambda p, x: (bad, np.ones(1)), params, np.zeros(4), GradientDescent(lr=1.0), 1, epochs=4)


# A device that is not there: it counts what makes the host wait, and refuses what a loop must not do.


def wait(self: Any, *_: Any) -> Any:
    raise AssertionError("the loop waited for the device")


WAIT: Any = wait


class DeviceScalar:
    shape = ()
    dtype = np.dtype("float32")

    def __init__(self, value: Any) -> None:
        self.value = value

    __float__ = __bool__ = __int__ = __index__ = __array__ = __lt__ = __eq__ = __hash__ = item = get = tolist = WAIT


class DeviceArray:
    """An array of losses on the device; `get` copies it to the host and so waits."""

    waits = 0

    def __init__(self, size: int, dtype: str) -> None:
        self.host = np.full(size, np.nan, dtype)

    def __setitem__(self, at: Any, loss: Any) -> None:
        self.host[at] = loss.value if isinstance(loss, DeviceScalar) else loss

    def get(self) -> Any:
        DeviceArray.waits += 1
        return self.host.copy()

    __float__ = __bool__ = __array__ = __iter__ = __getitem__ = WAIT


class Device:
    __name__ = "device"
    empty = DeviceArray
    asarray = staticmethod(np.asarray)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(DATA, "array_module", lambda *arrays: Device)
    monkeypatch.setattr(DeviceArray, "waits", 0)
    return DeviceArray


def fit_on_device(losses: Any, count: int = 4, batch_size: int | None = 1, optimizer: Any = None, **options: Any) -> Any:
    losses = iter(losses)
    optimizer = optimizer or GradientDescent(lr=1.0).init(np.zeros(1))
    return fit(
        lambda p, x: (DeviceScalar(next(losses)), np.ones(1)),
        optimizer.params,
        np.zeros(count),
        optimizer,
        batch_size,
        **options,
    )


def test_loop_does_not_wait_for_the_device(device: Any) -> None:
    waits = []
    history = fit_on_device(range(300), count=100, epochs=3, callback=lambda history: waits.append(device.waits))
    assert waits == [1, 2, 3]  # at the end of each epoch
    assert_array_equal(history.loss, np.arange(300))


def test_short_epochs_do_not_wait_each(device: Any) -> None:
    waits = []
    fit_on_device(range(100), batch_size=None, epochs=100, callback=lambda history: waits.append(device.waits))
    assert waits == [0] * 63 + [1] * 36 + [2]


@pytest.mark.parametrize("stop", [True, False])
def test_device_loss_not_finite_is_found_at_its_update(device: Any, stop: bool) -> None:
    losses = [1.0] * 5 + [np.nan] + [1.0] * 2 + [np.inf] + [1.0] * 7
    optimizer = GradientDescent(lr=1.0).init(np.zeros(1))
    with pytest.raises(FloatingPointError, match=r"the loss is nan at update 6 \(epoch 2\)"):
        fit_on_device(losses, optimizer=optimizer, epochs=4, callback=lambda history: stop and history.epochs == 3)
    assert optimizer.t == (12 if stop else 16)


def test_device_loss_not_finite_in_a_later_block(device: Any) -> None:
    losses = [1.0] * 2001 + [-np.inf] + [1.0] * 500
    with pytest.raises(FloatingPointError, match=r"the loss is -inf at update 2002 \(epoch 3\)"):
        fit_on_device(losses, count=834, epochs=3)


def test_device_loss_that_is_not_finite_is_not_saved(device: Any, tmp_path: Path) -> None:
    checkpoint = Checkpointer(tmp_path)
    with pytest.raises(FloatingPointError, match="update 6"):
        fit_on_device([1.0] * 5 + [np.nan] * 7, epochs=3, checkpoint=checkpoint)
    assert len(checkpoint.paths) == 1


def test_host_loss_beside_device_params(device: Any) -> None:
    losses = iter([1.0, 2.0, np.nan])
    with pytest.raises(FloatingPointError, match="update 3"):
        fit(lambda p, x: (next(losses), np.ones(1)), np.zeros(1), np.zeros(4), GradientDescent(), 1)
    assert device.waits == 0


# Refused


def call(**changes: Any) -> Any:
    data, params = problem()
    arguments = {"loss_and_grad": squares, "params": params, "data": data, "rule": Adam(), "batch_size": 5, **changes}
    return fit(**arguments)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, r"batch_size .* must be a whole number of at least 1, got 0"),
        ({"batch_size": 21}, ValueError, "batch_size is 21, but data has 20 examples"),
        ({"epochs": -1}, ValueError, "epochs must be a whole number of at least 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number of at least 0, got 1.5"),
        ({"epochs": np.bool_(True)}, TypeError, "epochs must be a whole number"),
        ({"data": ()}, ValueError, "empty tuple"),
        ({"data": (np.zeros((0, 3)), np.zeros(0))}, ValueError, "no examples"),
        ({"data": (np.zeros((20, 3)), np.zeros(19))}, ValueError, r"equal lengths, not \[20, 19\]"),
        ({"data": (np.zeros((20, 3)), np.array(2.0))}, ValueError, r"data\[1\] is 0-d"),
        ({"data": np.array(1.0)}, ValueError, "data is 0-d"),
        ({"data": (np.zeros((20, 3)), [1.0] * 20)}, TypeError, r"data\[1\] must be a NumPy or CuPy array, not list"),
        ({"data": [[1.0, 2.0]]}, TypeError, "data must be a NumPy or CuPy array, not list"),
        ({"rule": "adam"}, TypeError, "rule must be a rule such as .*, not 'adam'"),
        ({"rule": Adam}, TypeError, "rule must be a rule such as .*, not <class"),
        ({"rule": Adam().init({"w": np.zeros(3)})}, ValueError, "made for other arrays than params"),
        ({"rule": Adam().init({"w": np.zeros(3), "b": np.zeros(1)})}, ValueError, "made for other arrays than params"),
    ],
)
def test_bad_arguments(changes: Any, error: type[Exception], message: str) -> None:
    def unreachable(*_: Any) -> None:
        raise AssertionError("trained with bad arguments")

    with pytest.raises(error, match=message):
        call(loss_and_grad=unreachable, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((20, 3))}, r"\(params, data\), but takes \(params, x, y\): pass data=\(x, y\)$"),
        ({"loss_and_grad": lambda p, x: (0.0, p)}, r"\(params, data\[0\], data\[1\]\), but takes \(p, x\): pass data=x$"),
        ({"loss_and_grad": lambda p: (0.0, p)}, r"takes \(p\): it must take params and a batch of each array$"),
        ({"validation": np.zeros((20, 3))}, r"\(params, validation\), .* pass validation=\(x, y\)$"),
    ],
)
def test_data_that_the_function_does_not_take(changes: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"loss_and_grad is called as loss_and_grad.*{message}"):
        call(**changes)


def test_data_in_a_named_tuple_and_a_function_that_is_wrapped() -> None:
    """`functools.wraps` shows the signature of the function inside, which may take fewer arguments."""

    class Pair(NamedTuple):
        x: Any
        y: Any

    @functools.wraps(lambda p: None)
    def wrapped(p: Any, x: Any, y: Any) -> Any:
        return 0.0, np.zeros_like(p)

    history = fit(wrapped, np.zeros(3), Pair(np.zeros((20, 3)), np.zeros(20)), GradientDescent(), batch_size=5, epochs=1)
    assert history.epochs == 1


def test_data_on_another_device_than_params(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnDevice(np.ndarray):
        pass

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=OnDevice, __name__="cupy"))
    data = np.zeros((20, 3)), np.zeros(20)
    with pytest.raises(TypeError, match=r"params are numpy arrays, data\[1\] is not: pass cupy\.asnumpy\(data\[1\]\)"):
        call(data=(data[0], data[1].view(OnDevice)))
    with pytest.raises(TypeError, match=r"params are cupy arrays, data\[0\] is not: pass cupy\.asarray\(data\[0\]\)"):
        call(data=data, params={"w": np.zeros(3).view(OnDevice)})
    with pytest.raises(TypeError, match=r"data\[0\] must be .*, not list: pass cupy\.asarray\(data\[0\]\)"):
        call(data=([1.0], data[1]), params={"w": np.zeros(3).view(OnDevice)})


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (Frame(), "np.asarray(data)"),
        ([[1.0, 2.0], [3.0, 4.0]], "np.asarray(data)"),
        ([np.ones(3), np.ones(3)], "a tuple of arrays, tuple(data)"),
        ((np.ones(3), list(np.ones(3))), "np.asarray(data[1])"),
        ([Frame(), Frame()], "a tuple of arrays, tuple(np.asarray(array) for array in data)"),
        ({"x": np.ones(3), "y": np.ones(3)}, "a tuple of arrays, tuple(data.values())"),
        ((np.ones(20), Frame()), "np.asarray(data[1])"),
        (Sparse(), "np.asarray(data.toarray())"),
        (OnCuda(), "cupy.asnumpy(cupy.asarray(data))"),
        (OnCudaWithGradient(), "cupy.asnumpy(cupy.asarray(data.detach()))"),
    ],
)
def test_a_remedy_for_data_that_are_no_arrays(data: Any, remedy: str) -> None:
    """And it works where it is typed."""
    with pytest.raises(TypeError, match=re.escape(f": pass {remedy}") + "$"):
        call(data=data)
    if "cupy" not in remedy:
        remedied = eval(remedy.removeprefix("a tuple of arrays, "), {"np": np, "data": data})
        arrays = remedied if isinstance(remedied, tuple) else (remedied,)
        assert all(isinstance(array, np.ndarray) and array.dtype == float for array in arrays)


@pytest.mark.parametrize("answer", [1, "no", np.ones(2), (True,), lambda: True])
def test_an_answer_that_is_not_true_does_not_stop(answer: Any) -> None:
    data, params = problem()
    assert fit(squares, params, data, Adam(), batch_size=6, epochs=3, callback=lambda history: answer).epochs == 3


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        (Adam, ": Adam is a class, so call it, Adam()"),
        (clip(1.0), ": a piece works in a chain, as in gpuopt.chain(gpuopt.clip(1.0), gpuopt.Adam())"),
        (clip, ": a piece works in a chain, as in gpuopt.chain(gpuopt.clip(1.0), gpuopt.Adam())"),
        ("adam", ": write gpuopt.Adam()"),
    ],
)
def test_a_remedy_for_what_is_no_rule(rule: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"not {rule!r}{remedy}") + "$"):
        call(rule=rule)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (1.0, "must return a pair .*, got float: end it with return loss, grads"),
        (None, "must return a pair .*, got NoneType: end it with return loss, grads"),
        ([1.0, {"w": np.zeros(3)}], "must return a pair .*, got list: end it with return loss, grads"),
        ((1.0,), "must return a pair .*, got tuple of 1: end it with return loss, grads"),
        ((1.0, {"w": np.zeros(3)}, 0), "must return a pair .*, got tuple of 3: end it with return loss, grads"),
        (
            (np.ones(1), {"w": np.zeros(3)}),
            r"real number or 0-d array, not ndarray of shape \(1,\) and dtype float64: return loss\.reshape\(\(\)\)$",
        ),
        ((np.ones(20), {"w": np.zeros(3)}), r"not ndarray of shape \(20,\) and dtype float64$"),
        ((1j, {"w": np.zeros(3)}), r"not complex: return loss\.real$"),
        ((np.complex64(1), {"w": np.zeros(3)}), r"not complex64 of shape \(\) and dtype complex64"),
        ((True, {"w": np.zeros(3)}), "not bool"),
        (({"w": np.zeros(3)}, 1.0), "not dict: return the loss first, return loss, grads$"),
        ((np.zeros(3), 1.0), "not ndarray .*: return the loss first, return loss, grads$"),
        ((None, {"w": np.zeros(3)}), "not NoneType"),
        (("1.0", {"w": np.zeros(3)}), "not str"),
    ],
)
def test_bad_result_of_loss_and_grad(result: Any, message: str) -> None:
    params = {"w": np.zeros(3)}
    with pytest.raises(TypeError, match=message):
        call(params=params, loss_and_grad=lambda *_: result)
    assert_array_equal(params["w"], np.zeros(3))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss_and_grad": None}, TypeError, "loss_and_grad must be callable, not None"),
        ({"callback": 3}, TypeError, "callback must be callable, not 3"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0 or a numpy.random.Generator, got -1"),
        ({"seed": "a"}, TypeError, "seed must be a whole number"),
        ({"data": [np.ones(3), np.ones(3)]}, TypeError, "data must be a NumPy or CuPy array, not list: pass a tuple of arrays"),
    ],
)
def test_an_option_that_is_wrong_is_named_before_anything_runs(options: Any, error: type[Exception], message: str) -> None:
    def never(params: Any, x: Any) -> None:
        raise AssertionError("was called")

    arguments = {
        "loss_and_grad": never,
        "params": np.zeros(2),
        "data": np.ones(4),
        "rule": GradientDescent(0.1),
        "batch_size": 2,
        **options,
    }
    with pytest.raises(error, match=re.escape(message)):
        fit(**arguments)
