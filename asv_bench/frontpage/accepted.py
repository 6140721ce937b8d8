"""Justified losses: lines ``accepted: BENCHMARK REASON`` in a file of the change that causes them."""

from __future__ import annotations

import subprocess

PREFIX = "accepted:"


def reasons(text: str) -> dict[str, str]:
    """The reason for each benchmark that the text accepts a loss of; a line without one accepts nothing."""
    found = {}
    for line in text.splitlines():
        name, _, reason = line.removeprefix(PREFIX).strip().partition(" ")
        if line.startswith(PREFIX) and reason.strip():
            found[name] = reason.strip()
    return found


def between(repository: str, before: str, after: str, path: str) -> dict[str, str]:
    """What the commits after one, up to another, accept; nothing if git does not know them."""
    if not path:
        return {}
    command = [
        "git",
        "-C",
        repository,
        "diff",
        "--unified=0",
        "--no-color",
        "--end-of-options",
        before,
        after,
        "--",
        f":/{path}",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    lines = done.stdout.splitlines()
    gone = {line[1:] for line in lines if line.startswith("-")}
    return reasons("\n".join(line[1:] for line in lines if line.startswith("+") and line[1:] not in gone))
