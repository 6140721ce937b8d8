"""Copy what a job measured: the JSON files that are expected, parsed and written anew, and nothing else.

    python3 -I asv_bench/tools/admit.py UPLOADED RESULTS --machine NAME --commit HASH [HASH ...]

A job that measures runs code that it was given, so what it uploads may hold anything: links, scripts, a folder `.git`. The job
that runs this may push. Only these are taken, each a regular file of at most 4 MB that holds a JSON object: benchmarks.json,
NAME/machine.json, and in NAME the results of those commits, of which there must be some. What else lies there is named, and
left. A commit's results are added to those that are there. Exit code 1, and one line, if one of them is not what it must be;
nothing is written then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from samples import combined

LARGEST = 4_000_000
MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


class RefusedError(Exception):
    """An upload, or an option, is not what it must be."""


def folder(path: Path) -> Path:
    """The folder at `path`, which must not be a link."""
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise RefusedError(f"{path} is no folder")
    return path


def content(path: Path) -> dict[str, Any]:
    """The JSON object in the regular file at `path`."""
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode):
        raise RefusedError(f"{path} is no regular file")
    if about.st_size > LARGEST:
        raise RefusedError(f"{path} has more than {LARGEST:,} bytes")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path} holds no JSON: {error}") from error
    if not isinstance(data, dict):
        raise RefusedError(f"{path} holds no JSON object")
    return data


def admitted(uploaded: Path, machine: str, *commits: str) -> dict[str, dict[str, Any]]:
    """The objects to be stored, by the path of each within the results."""
    if not MACHINE.fullmatch(machine):
        raise RefusedError(f"a machine's name must be of letters, digits, _ and -, not {machine!r}")
    if wrong := [commit for commit in commits if not COMMIT.fullmatch(commit)]:
        raise RefusedError(f"a commit must be 40 hexadecimal digits, not {wrong[0]!r}")
    known = {commit[:8]: commit for commit in commits}
    result = re.compile(rf"({'|'.join(known)})-[A-Za-z0-9][A-Za-z0-9._+-]{{0,199}}\.json", re.ASCII)
    names = {path.name for path in folder(uploaded / machine).iterdir() if result.fullmatch(path.name)}
    if not names:
        raise RefusedError(f"{machine!r} has no result of {', '.join(known)}")
    wanted = ["benchmarks.json", f"{machine}/machine.json", *(f"{machine}/{name}" for name in sorted(names))]
    found = {name: content(folder(uploaded) / name) for name in wanted}
    if (named := found[f"{machine}/machine.json"].get("machine")) != machine:
        raise RefusedError(f"{machine}/machine.json is of {named!r}")
    for name in sorted(names):
        commit = known[name[:8]]
        if (of := found[f"{machine}/{name}"].get("commit_hash")) != commit:
            raise RefusedError(f"{machine}/{name} is of {of!r}, not of {commit!r}")
    return found


def added(old: dict[str, Any], new: dict[str, Any], name: str) -> dict[str, Any]:
    """What both measured."""
    try:
        return combined(old, new)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{name} cannot be added to what is there: {type(error).__name__}: {error}") from error


def left(uploaded: Path, taken: set[str]) -> list[str]:
    """What lies in the upload and is not taken."""
    found = []
    for above, folders, files in os.walk(uploaded):
        paths = [Path(above, name) for name in (*files, *folders)]
        found += [p.relative_to(uploaded).as_posix() for p in paths if p.is_symlink() or not p.is_dir()]
    return sorted(set(found) - taken)


def store(found: dict[str, dict[str, Any]], results: Path) -> None:
    """Write the objects; a link that lies in the way is replaced, and never followed."""
    for name, data in found.items():
        there = results / name
        if "commit_hash" in data and there.is_file() and not there.is_symlink() and not there.parent.is_symlink():
            found[name] = added(content(there), data, name)
    texts = {name: json.dumps(data, indent=4) + "\n" for name, data in found.items()}
    for name, text in texts.items():
        target = results / name
        target.parent.mkdir(exist_ok=True)
        (folder(target.parent) / target.name).unlink(missing_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uploaded", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--commit", required=True, nargs="+")
    options = parser.parse_args(arguments)
    try:
        found = admitted(options.uploaded, options.machine, *options.commit)
        store(found, folder(options.results))
    except (OSError, RecursionError, RefusedError) as error:
        print(ascii(f"admit: {error}"), file=sys.stderr)
        return 1
    for name in left(options.uploaded, set(found)):
        print(ascii(f"admit: left out {name}"), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
