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
    Mistake(
        "the weights of an average one step late",
        "Weights.total",
        "node('add', node('multiply', beta, before), rest)",
        "before",
        "test_weights::test_the_average_of_equal_gradients_is_that_gradient",
    ),
    Mistake(
        "a decay that was replaced taken for constant",
        "ParamGroup.check_change",
        "varying |= _1",
        "varying |= set()",
        "test_weights::test_a_decay_that_is_replaced",
    ),
    Mistake(
        "a new sum of weights begins at 0",
        "closed_weights",
        "(found[count],) = _1",
        "found[count] = 0.0",
        "test_weights::test_a_decay_that_is_replaced",
    ),
    Mistake(
        "sums of weights not loaded",
        "Saved._scalar_states",
        "name in self.state",
        "False",
        "test_weights::test_a_state_dict_with_sums",
    ),
    Mistake(
        "a sum of weights counted for an array without a gradient",
        "_ScalarWriter._keep_states",
        "'members[own[i]]'",
        "'true'",
        "test_weights::test_adam_with_decays_that_change",
    ),
    Mistake(
        "a state dict with masked arrays loaded",
        "saved:_fits",
        "not isinstance(_1, _2)",
        "True",
        "test_saved::test_any_damage",
    ),
    Mistake(
        "a state dict with the optimizer's own arrays loaded",
        "Saved.arrays",
        "_1 == _2 and _3",
        "False",
        "test_saved::test_arrays_of_its_own_state_are_refused",
    ),
    Mistake(
        "numbers of a piece out of their range",
        "check_number",
        "_1 is not ANY and _2",
        "False",
        "test_saved::test_refusals",
    ),
    Mistake(
        "arrays for hyperparameters forgotten on load",
        "_check_arrays",
        "_1 != _2",
        "False",
        "test_saved::test_arrays_for_hyperparameters_are_told",
    ),
    Mistake(
        "another class of the same name",
        "_is_class",
        "_1 == _2 and __3",
        "_1 == _2",
        "test_saved::test_another_class_of_the_same_name",
    ),
    Mistake(
        "hyperparameters missing in a state dict",
        "_check_complete",
        "_1 not in hyper and _2",
        "False",
        "test_saved::test_whatever_is_missing_is_refused",
    ),
]
