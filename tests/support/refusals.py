"""Tables of what is refused: by which error, in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

NAN, INF = float("nan"), float("inf")
Case = tuple[str, Any, type[Exception], tuple[str, ...]]


def table(*cases: Case) -> pytest.MarkDecorator:
    """Parametrize with rows: a name, what is done, the error it must raise, the words of its message."""
    return pytest.mark.parametrize(("action", "error", "words"), [pytest.param(*c[1:], id=c[0]) for c in cases])


def refused(action: Callable[[], Any], error: type[Exception], words: tuple[str, ...]) -> None:
    """Assert that `action` raises just this error, and that its message has all the words."""
    with pytest.raises(error) as caught:
        action()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
