"""Runs parts one after the other, each within its limit, and keeps what each left; one that fails or hangs stops no other."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.gpu_check.results import RUNNING, End, Results

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "PYTHONUNBUFFERED": "1",
    "PYTHONFAULTHANDLER": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "GPUOPT_BENCH_REQUIRE_GPU": "1",
}
ARCHIVE, SUMMARY = "details.tgz", "summary.md"
NOT_BEGUN = End("not begun")


@dataclasses.dataclass(frozen=True)
class Part:
    """A process that measures something.

    Attributes
    ----------
    name : str
    limit : float
        Seconds until it is interrupted, as by Ctrl-C.
    command : callable
        The command, given the file for its numbers; or a text, why it cannot run here.
    suffix : str
        Of that file.
    grace : float
        Seconds from there until it is killed, with all processes that it started.
    """

    name: str
    limit: float
    command: Callable[[Path], Sequence[str] | str]
    suffix: str = "json"
    grace: float = 5.0


def run(parts: Sequence[Part], folder: Path, seconds: float, results: Results) -> bool:
    """Run those of `parts` that were not done, within so many seconds in all; those that were not begun come first.

    Returns
    -------
    bool
        Whether every part was done, or is not for this machine.
    """
    deadline = time.monotonic() + seconds
    if broken_off := [name for name, end in results.ends.items() if end.how == "running"]:
        results.collect(broken_off[0], folder)
    ends = {part: results.ends.get(part.name, NOT_BEGUN).how for part in parts}
    left = sorted((part for part in parts if ends[part] != "done"), key=lambda part: ends[part] != NOT_BEGUN.how)
    try:
        for part in left:
            limit = min(part.limit, deadline - time.monotonic() - part.grace)
            if limit < part.limit / 4:  # a shorter one may still have its time
                print(f"== {part.name}: not begun, {max(limit, 0):.0f} s are left")
                continue
            _run(part, limit, folder, results)
    except KeyboardInterrupt:
        print("== interrupted")
    for part in left:
        results.ends.setdefault(part.name, NOT_BEGUN)
    _write(folder, results)
    return all(results.ends[part.name].how in ("done", "not here") for part in parts)


def _run(part: Part, limit: float, folder: Path, results: Results) -> None:
    """Run a part, and keep what it left."""
    print(f"== {part.name}", flush=True)
    output, start = results.lay_out(part.name, folder, part.suffix), time.monotonic()
    results.ends[part.name] = End("running")
    _write(folder, results)
    try:
        command = part.command(output)
        ended = End("not here", why=command) if isinstance(command, str) else _ended(command, limit, part.grace, folder)
    except Exception as error:
        ended = End("failed", why=f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        ended = End("cut off", why="interrupted")
        raise
    finally:
        took = time.monotonic() - start
        results.ends[part.name] = ended = dataclasses.replace(ended, seconds=round(took, 1))
        results.collect(part.name, folder)
        lines = results.text(f"{part.name}.log").splitlines()[-25:]
        print(*lines, f"== {part.name}: {ended.how} after {took:.0f} s {ended.why}".rstrip(), sep="\n", flush=True)
        _write(folder, results)


def _ended(command: Sequence[str], limit: float, grace: float, folder: Path) -> End:
    """How a process ended, which is interrupted after `limit` seconds, and killed after `grace` more."""
    with (folder / f"{RUNNING}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            process_group=0,  # no session of its own: what kills this one's kills it, too
        )
    try:
        code = process.wait(limit)
        return End("done") if code == 0 else End("failed", why=f"exit code {code}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # its children are its own: pytest ends its workers, and says what failed
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        return End("cut off", why=f"its limit is {limit:.0f} s")
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)  # one that the driver holds cannot even be killed


def _write(folder: Path, results: Results) -> None:
    """Write archive and summary; a summary that cannot be made takes nothing with it."""
    results.save(folder / ARCHIVE)
    try:
        from tools.gpu_check.summary import summary  # which imports gpuopt, and that may be broken here

        text = summary(results)
    except Exception:
        text = f"The summary failed; {ARCHIVE} has the numbers.\n\n```\n{traceback.format_exc()}```\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")
