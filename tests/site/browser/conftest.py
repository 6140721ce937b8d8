"""These tests need a browser: they run only where they are asked for, with `pytest tests/site/browser`."""

from __future__ import annotations

import pytest


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked = any("browser" in str(argument) for argument in config.invocation_params.args)
    return None if asked else True
