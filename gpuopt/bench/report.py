"""Measurements as text, Markdown, JSON and a picture, with dtype, options, machine and date."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from gpuopt.arrays import backend
from gpuopt.arrays.backend import optional_import
from gpuopt.bench.rivals import GRAPH, RIVALS, Case
from gpuopt.plot.look import style

__all__ = ["Report", "as_json", "cpu_name", "draw", "markdown", "text"]

_COLUMNS = ("rule", "arrays", "executor", "a step", "bandwidth", "of the floor", *RIVALS)
_OTHERS = ("torch", "jax", "optax")
_COLOURS = {"numpy": "C1", "numba": "C0", "cupy": "C2", GRAPH: "C3"}
_GREYS = ("0.15", "0.4", "0.6", "0.75")


@dataclasses.dataclass(frozen=True)
class Report:
    """The cases that were measured, and where.

    Attributes
    ----------
    cases : sequence of Case
    header : str
        Date, device, threads, dtype, options of `init` and versions, in one line.
    options : sequence of str
        Those of `init` that were True.
    """

    cases: Sequence[Case]
    header: str
    options: Sequence[str] = ()

    @classmethod
    def of(cls, cases: Iterable[Case], dtype: str, options: Sequence[str] = ()) -> Report:
        """The report of what was measured here and now."""
        measured = list(cases)
        executors = {executor.partition(" ")[0] for case in measured for executor in case.ours}
        return cls(measured, header(executors, dtype, options), tuple(options))


def header(executors: set[str], dtype: str, options: Sequence[str] = ()) -> str:
    """Date, device, threads, dtype, options of `init` and versions, in one line."""
    info = backend.info()
    kept = {name: version for name, version in info["versions"].items() if version}
    versions = {
        name: version
        for name, version in kept.items()
        if name != "ml_dtypes" or dtype.startswith("bfloat16")
    }
    for name in _OTHERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    threads = backend.cpu_threads()
    cpu = f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"
    device = (
        info["device"]
        if executors == {"cupy"}
        else f"{cpu} and {info['device']}"
        if "cupy" in executors
        else cpu
    )
    what = ", ".join([dtype, *(f"{option}=True" for option in options)])
    return f"{date.today()}; {device}; {what}; " + ", ".join(
        f"{name} {version}" for name, version in versions.items()
    )


def cpu_name() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _rows(report: Report) -> list[list[str]]:
    rows = []
    for case in report.cases:
        for executor, seconds in case.ours.items():
            arrays = f"{case.size:,}" if case.count == 1 else f"{case.count} x {case.size:,}"
            ratios = [
                f"{case.rivals[rival] / seconds:.2f}" if rival in case.rivals else "-"
                for rival in RIVALS
            ]
            bandwidth = f"{case.moved / seconds / 1e9:.1f} GB/s"
            rows.append(
                [
                    case.rule,
                    arrays,
                    executor,
                    f"{seconds * 1e6:,.1f} us",
                    bandwidth,
                    f"{case.floor / seconds:.0%}",
                    *ratios,
                ]
            )
    return rows


_NOTE = (
    "'of the floor': the time to stream as many bytes as a step must move, in the fastest way "
    "found here, divided by the step's. Last columns: how many times longer the rival takes (above "
    "1, gpuopt is faster; -: not installed, or has no such rule). The C library keeps freed memory "
    "(mallopt), which saves the hand-written expressions most of their cost."
)
_NOTE_16 = (
    " torch and optax keep the state of 16-bit arrays in 16 bits; gpuopt and the hand-written "
    "expressions keep it in float32."
)


def _note(report: Report) -> str:
    narrow = any(case.dtype in ("float16", "bfloat16") for case in report.cases)
    return _NOTE + (_NOTE_16 if narrow else "")


def text(report: Report) -> str:
    """A table for a terminal."""
    table = [list(_COLUMNS), *_rows(report)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            f"{cell:{'<' if i < 3 else '>'}{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return (
        "\n".join([report.header, "", *(line.rstrip() for line in lines), "", _note(report)]) + "\n"
    )


def markdown(report: Report) -> str:
    """A table for a page."""
    rows = [_COLUMNS, ("---",) * 3 + ("---:",) * (len(_COLUMNS) - 3), *_rows(report)]
    return (
        "\n".join(
            [report.header, "", *(f"| {' | '.join(row)} |" for row in rows), "", _note(report)]
        )
        + "\n"
    )


def as_json(report: Report) -> str:
    """All numbers, in seconds and bytes, for programs such as ``tools/gpu_check``."""
    return json.dumps(dataclasses.asdict(report), indent=1) + "\n"


def draw(report: Report, path: Path) -> None:
    """Write bars of every time over the floor, a panel for each set of arrays, as a PNG."""
    figure = optional_import("matplotlib.figure", "a picture of gpuopt bench").Figure
    with style():
        _drawn(report, figure).savefig(path, dpi=130)


def _drawn(report: Report, figure: Any) -> Any:
    shapes = list(dict.fromkeys((case.count, case.size) for case in report.cases))
    fig = figure(figsize=(10, 1.2 + 2.6 * len(shapes)))
    what = ", ".join([report.cases[0].dtype, *(f"{option}=True" for option in report.options)])
    fig.suptitle(f"Time of a step over the memory's floor ({what})", x=0.01, ha="left", fontsize=12)
    panels = fig.subplots(len(shapes), 1, squeeze=False)[:, 0]
    for panel, (count, size) in zip(panels, shapes, strict=True):
        _panel(panel, [case for case in report.cases if (case.count, case.size) == (count, size)])
        panel.set_title(
            f"{size:,} elements" if count == 1 else f"{count} arrays of {size:,} elements",
            fontsize=10,
        )
    panels[0].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    fig.supxlabel(report.header, fontsize=7, color="0.3")
    return fig


def _panel(panel: Any, cases: list[Case]) -> None:
    names = [
        n for n in (*_COLOURS, *RIVALS) if any(n in case.ours or n in case.rivals for case in cases)
    ]
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        times = [(case.ours | case.rivals).get(name, 0.0) / case.floor for case in cases]
        places = [i + (number - (len(names) - 1) / 2) * width for i in range(len(cases))]
        colour = _COLOURS.get(name) or _GREYS[RIVALS.index(name)]
        panel.bar(
            places,
            times,
            width,
            color=colour,
            label=f"gpuopt, {name}" if name in _COLOURS else name,
        )
    panel.axhline(1, color="0.3", lw=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(cases)), [case.rule for case in cases])
    panel.set_ylabel("times the floor", fontsize=8)
    panel.grid(visible=False, axis="x")
