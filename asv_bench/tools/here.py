"""Run benchmarks of the asv suite in this process, without asv: to look at them where asv is not, or there is little time.

    python asv_bench/tools/here.py PATTERN [--seconds 60] [--output FILE.json]

PATTERN is searched for in names such as ``rules.Time.track_time('Adam', 'cupy', 1000)``. Nothing is begun after so many
seconds.
Exit code 1 if a benchmark failed, or none was measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT, SUITE = Path(__file__).parents[1] / "benchmarks", "gpuopt_asv_benchmarks"


def found(pattern: str) -> Iterator[tuple[str, Any, Any, tuple[Any, ...]]]:
    """Name, class, method and parameters of what matches; what counts in other processes (setup_cache) is left to asv."""
    for path in sorted(ROOT.glob("[a-z]*.py")):
        module = importlib.import_module(f"{SUITE}.{path.stem}")
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__:
                continue
            for method in vars(cls).values():
                if not getattr(method, "__name__", "").startswith("track_") or hasattr(method, "setup_cache"):
                    continue
                for parameters in itertools.product(*cls.params):
                    name = f"{path.stem}.{cls.__name__}.{method.__name__}({', '.join(map(repr, parameters))})"
                    if re.search(pattern, name):
                        yield name, cls, method, parameters


def measured(cls: Any, method: Any, parameters: tuple[Any, ...]) -> float | str | None:
    """The value; None where it is n/a; a text, what went wrong."""
    try:
        benchmark = cls()
        try:
            getattr(benchmark, "setup", lambda *_: None)(*parameters)
        except NotImplementedError:
            return None
        return float(method(benchmark, *parameters))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    _load()
    values: dict[str, float | str | None] = {}
    units, late, start = {}, 0, time.perf_counter()
    for name, cls, method, parameters in found(options.pattern):
        if time.perf_counter() - start > options.seconds:
            late += 1
            continue
        values[name], units[name] = measured(cls, method, parameters), method.unit
        if values[name] is not None:
            print(f"{name}: {values[name]} {units[name]}" if isinstance(values[name], str) else _line(name, values, units))
        if options.output:  # what is measured is kept if this is stopped
            _write(options.output, values, units, late)
    failed = [name for name, value in values.items() if isinstance(value, str)]
    numbers = sum(isinstance(value, float) for value in values.values())
    print(f"{numbers} values, {len(failed)} failed, {len(values) - numbers - len(failed)} n/a, {late} not begun in time")
    if options.output:
        _write(options.output, values, units, late)
    return int(bool(failed) or not numbers)


def _load() -> None:
    """Import the suite's package, under a name that no other has."""
    spec = importlib.util.spec_from_file_location(SUITE, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{ROOT} cannot be imported")
    sys.modules[SUITE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[SUITE])


def _write(path: Path, values: dict[str, Any], units: dict[str, str], late: int) -> None:
    path.write_text(json.dumps({"values": values, "units": units, "not begun": late}, indent=1), encoding="utf-8")


def _line(name: str, values: dict[str, Any], units: dict[str, str]) -> str:
    return f"{name}: {values[name]:,.4g} {units[name]}"


if __name__ == "__main__":
    sys.exit(main())
