"""Resume is bitwise: an optimizer that was saved, pickled or copied goes on as if nothing had been."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.optimizers import everything
from tests.support.resume import PAUSES, SITUATIONS, WAYS


@pytest.mark.every("executor", pause=PAUSES, way=list(WAYS))
def test_resume_is_bitwise(executor: str, xp: Any, pause: tuple[str, int], way: str) -> None:
    """Parameters, state, numbers, counts, the rule and what evaluation gives, at each step that follows."""
    name, at = pause
    situation = SITUATIONS[name]
    opt, whole = (situation.init(situation.params(xp)) for _ in range(2))
    for step in range(situation.steps + 1):
        if step == at:
            opt = WAYS[way](opt, situation)
            assert repr(opt) == repr(whole)
            assert (opt.capturable, opt.executor) == (whole.capturable, whole.executor)
        assert everything(opt, opt.evaluation()) == everything(whole, whole.evaluation())
        if step < situation.steps:
            for each in (opt, whole):
                with np.errstate(over="ignore"):
                    each.step(situation.grads(each, step), loss=(3.0, 2.0, 4.0, 1.0, 2.0)[step % 5])
    assert at <= situation.steps
