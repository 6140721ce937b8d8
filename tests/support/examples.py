"""How many examples are tried of what has many: few every day, and many times as many, or all, on request."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

MORE = 20
"""How many times as many `pytest --exhaustive` tries."""
_times = 1


def ask_for_all() -> None:
    """Let tests that are defined from now on try them all."""
    global _times
    _times = MORE


def examples(number: int, **options: Any) -> settings:
    """Settings of a test that tries so many examples every day."""
    quiet = list(HealthCheck)
    return settings(
        max_examples=number * _times, derandomize=True, deadline=None, database=None, suppress_health_check=quiet, **options
    )


def spread(everyday: int) -> int:
    """The distance between those of a long row of examples that are tried: every one on request."""
    return everyday if _times == 1 else 1
