"""Make results that were measured in an existing environment publishable: one line on the dashboard for one machine.

An existing environment records the path of its interpreter, and the machine whatever asv found; each change of such a value
would start a new line. The Python and library versions are written in the path's place, in the order that asv itself uses.

    python asv_bench/tools/normalise.py RESULTS/MACHINE [--python 3.11] [--require numpy=2.4.6 numba=0.68.1]
                                        [--set gpu='NVIDIA H200' cuda=13.0]

Without --python and --require, the interpreter that runs this says its own. Run again, it changes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

APART = {"machine.json", "benchmarks.json"}


def pairs(texts: list[str]) -> dict[str, str]:
    """What ``name=value`` texts say."""
    wrong = [text for text in texts if not text.partition("=")[0] or "=" not in text]
    if wrong:
        raise ValueError(f"must be NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def write(path: Path, data: Any) -> None:
    text = json.dumps(data, indent=4) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def pinned(data: dict[str, Any], python: str, require: dict[str, str]) -> dict[str, Any]:
    """A result file's content as a virtual environment with these versions would have written it, but for the machine."""
    require = dict(sorted(require.items()))
    environment = "-".join([f"virtualenv-py{python}", *(f"{name}{version}" for name, version in require.items())])
    params = {"python": python} | require
    return data | {"env_name": environment, "params": params, "python": python, "requirements": require, "env_vars": {}}


def normalise(folder: Path, python: str, require: dict[str, str], constants: dict[str, str]) -> list[Path]:
    """Rewrite a machine's files in place, and name them as asv would; the result files."""
    machine_path = folder / "machine.json"
    machine = json.loads(machine_path.read_text(encoding="utf-8"))
    machine |= constants | {"machine": folder.name}
    machine = {name: str(machine[name]) for name in sorted(machine) if name != "version"} | {"version": 1}
    write(machine_path, machine)
    done = []
    for path in sorted(p for p in folder.glob("*.json") if p.name not in APART):
        data = json.loads(path.read_text(encoding="utf-8"))
        if Path(data["python"]).is_absolute():
            data = pinned(data, python, require)
        data["params"] = {n: v for n, v in machine.items() if n != "version"} | {
            name: value for name, value in data["params"].items() if name not in machine
        }
        target = folder / f"{data['commit_hash'][:8]}-{data['env_name']}.json"
        if target != path and target.exists():
            raise ValueError(f"{target.name} is there already: it and {path.name} are of the same commit")
        write(target, data)
        if target != path:
            path.unlink()
        done.append(target)
    return done


def installed(names: list[str]) -> dict[str, str]:
    return {name: metadata.version(name) for name in names}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=".".join(platform.python_version_tuple()[:2]))
    parser.add_argument("--require", nargs="*", metavar="NAME=VERSION")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="constants of the machine")
    options = parser.parse_args(arguments)
    try:
        require = installed(["numpy", "numba"]) if options.require is None else pairs(options.require)
        for path in normalise(options.folder, options.python, require, pairs(options.set)):
            print(path)
    except (OSError, ValueError, KeyError, metadata.PackageNotFoundError) as error:
        print(f"normalise: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
