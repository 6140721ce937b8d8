"""Mistakes in what binds a rule to arrays."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "step count one too high",
        "PlainSteps.plan",
        "_1(_2)(_3, _4)",
        "_1(_2)(_3 + 1, _4)",
        "test_bits::test_formula",
    ),
    Mistake(
        "step count one too low",
        "PlainSteps.plan",
        "_1(_2)(_3, _4)",
        "_1(_2)(max(_3 - 1, 1), _4)",
        "test_bits::test_formula",
    ),
    Mistake(
        "a skipped array's count advanced",
        "GroupStep.members",
        "self.positions is None",
        "True",
        "test_contract::test_arrays_that_are_updated_together_are_told_apart_by_their_keys",
    ),
    Mistake(
        "schedule one step late",
        "PlainSteps.hyper",
        "_1.at(self.binding.t)",
        "_1.at(self.binding.t + 1)",
        "test_contract::test_schedules_are_called_with_the_completed_steps",
    ),
    Mistake(
        "a step that was not accepted counted",
        "StagedSteps.plan",
        "_1 or not _2",
        "True",
        "test_chain",
    ),
    Mistake(
        "a norm of one array instead of all",
        "Totals.tree",
        "np.add.accumulate(_1)[-1]",
        "_1[0]",
        "test_reductions",
    ),
    Mistake(
        "a captured step takes the launches of the step before",
        "CountingSteps.plan",
        "self.binding.capturable and _1",
        "False",
        "test_capturable::test_a_capture_shares_no_memory_with_the_steps_around_it",
    ),
    Mistake(
        "launches of another rule made again",
        "CountingSteps.use",
        "self._last = None",
        "pass",
        "test_capturable::test_a_rule_that_needs_another_kernel_is_used_at_once",
    ),
    Mistake(
        "gradients with gaps kept alive",
        "CountingSteps.plan",
        "last.lasting",
        "True",
        "test_capturable::test_gradients_with_gaps_are_not_kept_alive",
    ),
]
