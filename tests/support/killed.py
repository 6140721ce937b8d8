"""Processes that are killed while they save, or train: ``python -m tests.support.killed saving FOLDER TIMES``, or ``fitting``.

Each round forks a process, kills it at a random moment, and looks at what it has left. Nothing is printed if all is well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gpuopt as go

SIZE = 5_000


def killed(work: Callable[[int], None], after: float) -> list[int]:
    """What a process, `after` seconds of `work` killed, had acknowledged, in order."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            work(writing)
        os._exit(0)
    os.close(writing)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as acknowledged:
        return [int(line) for line in acknowledged]


def optimizer() -> go.Optimizer:
    return go.Momentum().init({"w": np.zeros(SIZE), "b": np.zeros(())})


def saving(folder: Path, times: int) -> None:
    """What loads is never older than what was acknowledged, is of one piece, and lies alone in its folder."""
    path, opt = folder / "run.npz", optimizer()
    go.save(path, opt, extra=0)

    def work(acknowledge: int) -> None:
        number = go.load(path, opt)
        while True:
            number += 1
            opt.params["w"][...] = opt.params["b"][...] = number
            go.save(path, opt, extra=number)
            os.write(acknowledge, b"%d\n" % number)

    last = left = 0
    for _ in range(times):
        last = max([last, *killed(work, random.uniform(0, 0.05))])
        left += len(list(folder.iterdir())) - 1
        number = go.load(path, opt)
        assert number >= last, f"{number} was loaded, {last} was saved"
        assert (opt.params["w"] == number).all(), f"not all of the parameters are those of {number}"
    go.save(path, opt, extra=number)
    assert [each.name for each in folder.iterdir()] == ["run.npz"]
    print(f"{times} killed, {left} of them while they wrote; {number} saved")


def trained(folder: Path | None) -> tuple[bytes, bytes, int]:
    """The bits that a training in batches ends with: of its parameters, of its losses, and of its generator."""
    rng, order = np.random.default_rng(0), np.random.default_rng(1)
    x, y = rng.normal(size=(200, 3)), rng.normal(size=200)
    params = {"w": np.zeros(3)}

    def loss_and_grad(params: Any, x: Any, y: Any) -> Any:
        error = x @ params["w"] - y
        return error @ error / len(x), {"w": 2 * (error @ x) / len(x)}

    rule = go.chain(go.gradient_noise(0.01, seed=3), go.Adam(go.schedules.Exponential(0.1, 0.9, 10)))
    checkpoint = None if folder is None else go.Checkpointer(folder, every=2)
    history = go.fit(loss_and_grad, params, (x, y), rule, 16, epochs=12, seed=order, checkpoint=checkpoint)
    return params["w"].tobytes(), history.loss.tobytes(), int(order.integers(2**60))


def train(folder: Path, acknowledge: int) -> None:
    trained(folder)


def fitting(folder: Path, times: int) -> None:
    """A training that was killed goes on to the bits of one that was not."""
    right, midway, start = trained(None), 0, time.perf_counter()
    assert trained(folder / "whole") == right
    whole = time.perf_counter() - start
    for number in range(times):
        run = folder / str(number)
        killed(functools.partial(train, run), random.uniform(0, whole))
        midway += len(go.Checkpointer(run).paths) > 0 and not (run / "checkpoint-000006.npz").exists()
        assert trained(run) == right
    print(f"{times} killed, {midway} of them between the first checkpoint and the last")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
