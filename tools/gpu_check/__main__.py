"""The command: ``bash tools/gpu_check.sh FOLDER``."""

from __future__ import annotations

import argparse
import signal
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import tools.gpu_check as package
from tools.gpu_check.parts import Choice, parts
from tools.gpu_check.results import Results
from tools.gpu_check.running import ARCHIVE, SUMMARY, run


def main(arguments: Sequence[str] | None = None) -> int:
    standard, known = Choice(), [part.name for part in parts(Choice())]
    parser = argparse.ArgumentParser(
        prog="bash tools/gpu_check.sh", description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where summary.md and details.tgz go")
    parser.add_argument(
        "--resume", nargs="?", type=Path, const=Path(), metavar="ARCHIVE", help="go on with FOLDER/details.tgz, or another"
    )
    parser.add_argument("--seconds", type=float, default=470.0, help="for all together (default: 470)")
    parser.add_argument("--parts", nargs="+", choices=known, metavar="NAME", help="run these alone")
    parser.add_argument("--size", type=int, default=standard.size, help="elements of the large array")
    parser.add_argument("--rounds", type=int, default=standard.rounds, help="rounds of what takes turns")
    parser.add_argument("--many", nargs=2, type=int, default=standard.many, metavar=("ARRAYS", "SIZE"), help="small arrays")
    parser.add_argument("--tests", nargs="+", default=[], metavar="TEST", help="what pytest runs of the suite")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results = earlier(folder, options.resume)
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        parser.error(f"{error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    choice = Choice(options.size, options.rounds, tuple(options.many), options.tests)
    chosen = [part for part in parts(choice) if options.parts is None or part.name in options.parts]
    done = run(chosen, folder, options.seconds, results)
    print((folder / SUMMARY).read_text(encoding="utf-8").partition("\n## ")[0], f"{folder / SUMMARY} has all.", sep="\n")
    return int(not done)


def earlier(folder: Path, archive: Path | None) -> Results:
    """What an earlier run left, if this one goes on with it."""
    return Results() if archive is None else Results.of(folder / ARCHIVE if archive == Path() else archive.absolute())


if __name__ == "__main__":
    sys.exit(main())
