"""How many random examples hypothesis tries: few every day where each is compiled, and many times as many on request."""

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
