"""Ctrl-C, pressed again and again while a process steps on two threads: nothing hangs, and nothing is written late.

    python tools/interrupts.py                              # 2,000 presses on each CPU executor
    python tools/interrupts.py --presses 100 --executor numpy

The signals are real, and so is the process. After each press the process must say within a second that `step` raised
KeyboardInterrupt; its parameters must then stay as they are; and its next step must work, or say that the optimizer
was broken off. Exits with 1 where one of that fails.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE, BOUND = 10.0, 1.0
CHILD = """
import os, signal, time
import numpy as np, gpuopt as go

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is born deaf to it

def say(letter):
    os.write(1, letter.encode())

x, g = np.ones(2_500_000, "f4"), np.ones(2_500_000, "f4")
opt = go.Adam(0.1).init(x)
opt.step(g)
begun = time.perf_counter()
opt.step(g)
print(opt.executor, time.perf_counter() - begun, flush=True)
while True:
    try:
        say("r")
        while True:
            opt.step(g)
    except KeyboardInterrupt:
        say("i")
    now = x.copy()
    time.sleep(0.002)
    late = not np.array_equal(now, x)
    try:
        opt.step(g)
        known = True
    except RuntimeError as error:
        known = "interrupted halfway" in str(error)
        opt = go.Adam(0.1).init(x)
    say("L" if late else "k" if known else "U")
"""


class Stepping:
    """A process that steps, and what it says: r(eady), i(nterrupted), then k (as it should be), L(ate) or U(nusable)."""

    def __init__(self, executor: str) -> None:
        variables = {**os.environ, "GPUOPT_CPU": executor, "GPUOPT_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", CHILD]
        self.process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, bufsize=0)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._out, selectors.EVENT_READ)
        executor_and_time = self._out.readline().split()
        self.executor, self.step = executor_and_time[0].decode(), float(executor_and_time[1])

    @property
    def _out(self) -> Any:
        return self.process.stdout

    def said(self) -> str:
        """The next letter; empty where none comes."""
        return str(self._out.read(1).decode()) if self._ready.select(PATIENCE) else ""

    def press(self, after: float) -> tuple[str, float]:
        """Press Ctrl-C so long after it is ready; what went wrong, if anything, and how long `step` took to raise."""
        if self.said() != "r":
            return "the process does not go on", 0.0
        time.sleep(after)
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGINT)
        if self.said() != "i":
            return f"step did not raise within {PATIENCE:g} s", PATIENCE
        took, outcome = time.perf_counter() - begun, self.said()
        wrong = {"k": "", "L": "parameters were written after step raised", "U": "the next step failed without saying why"}
        return wrong.get(outcome, "the process does not go on") or (
            "" if took < BOUND else f"step raised after {took:.1f} s"
        ), took


def main() -> int:
    """Press, and print what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presses", type=int, default=2_000)
    parser.add_argument("--executor", choices=["numpy", "numba"], action="append")
    asked, failed = parser.parse_args(), False
    for executor in asked.executor or ["numpy", "numba"]:
        stepping, moments, longest, wrong, made = Stepping(executor), random.Random(0), 0.0, "", 0
        try:
            while made < asked.presses and not wrong:
                wrong, took = stepping.press(moments.uniform(0.0, 2 * stepping.step))
                longest, made = max(longest, took), made + 1
        finally:
            stepping.process.kill()
        failed |= bool(wrong)
        seen = f"press {made}: {wrong}" if wrong else f"{made} presses, no hang, no late write"
        print(f"{stepping.executor}: {seen}; steps of {1e3 * stepping.step:.1f} ms raised within {1e3 * longest:.0f} ms")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
