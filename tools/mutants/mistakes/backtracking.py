"""Mistakes in what takes a step back, and in what it keeps for that."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

RETURN = "test_backtrack::test_parameters_and_states_return_bit_for_bit"
LOOP = "test_backtrack::test_it_is_the_plain_loop"
REFUSALS = "test_backtrack::test_refusals"

MISTAKES = [
    Mistake(
        "a step back that is made all the same", "Undoing.arrays", "np.where(self._back, before(kept), new)", "new", RETURN
    ),
    Mistake("momentum that goes on after a step back", "Undoing.arrays", "np.where(self._back, 0.0, new)", "new", RETURN),
    Mistake(
        "a number that a step back leaves", "Undoing.numbers", "self._chosen(copy, Symbol(_1, each.new))", "each.new", RETURN
    ),
    Mistake("a copy of a number that is none", "Undoing.numbers", "self._chosen(copy, old)", "copy.parts[0]", RETURN),
    Mistake(
        "a step back that counts",
        "Undoing.count",
        "self._steps + 1",
        "Symbol(self._graph, self._graph.leaf('step', 't'))",
        LOOP,
    ),
    Mistake("a step back that other parts refuse", "Undoing.accepted", "accept | self._back", "accept", RETURN),
    Mistake("a rate that is kept, and not taken", "multiply_lr", "rule.lr * _number(_1, _2, _3)", "rule.lr", LOOP),
    Mistake("a step back of some arrays", "Binding.loss", "self._undoes is not None and (not complete)", "False", REFUSALS),
    Mistake("a buffer that stays", "Undoing.check_buffers", "next(iter(names), None)", "None", REFUSALS),
    Mistake("two pieces that take steps back", "Undoing.__init__", "if others:\n    __1", "pass", REFUSALS),
    Mistake("a step back of one that was not made", "Undoing.__init__", "has_hook(each, 'steps')", "False", REFUSALS),
    Mistake(
        "NaN taken for a smaller loss",
        "backtrack.undo",
        "np.logical_not(self.loss <= self.last)",
        "self.loss > self.last",
        RETURN,
    ),
    Mistake(
        "the point judged to which a step went back",
        "backtrack.adapt",
        "np.logical_not(undone) & _1",
        "_1",
        "test_backtrack::test_what_comes_after_is_what_would_have_come_at_half_the_rate",
    ),
    Mistake(
        "a rate above that of the rule",
        "backtrack.adapt",
        "np.minimum(_1, 1.0)",
        "_1",
        "test_backtrack::test_factor_and_growth",
    ),
    Mistake(
        "a decay that changes, by a count that is a state",
        "Weights.decay",
        "self.calls or t",
        "t",
        "test_backtrack::test_numbers_may_change_between_steps",
    ),
    Mistake(
        "a state that momentum_states names and there is none",
        "momentum_names",
        "given is not Rule.momentum_states",
        "False",
        "test_backtrack::test_the_momentum_of_a_rule_is_a_state_of_it",
    ),
    Mistake(
        "an average evaluated whose first step was taken back",
        "evaluation:_evaluated",
        "made[0]",
        "reached.counts[index]",
        RETURN,
    ),
    Mistake(
        "a minimization that ends where a step will be taken back",
        "Stopping.status",
        "self._returns and nit",
        "False",
        "test_backtrack::test_minimize_goes_on_from_the_point_before",
    ),
    Mistake(
        "a training that ends where a step will be taken back",
        "History._add",
        "self._returns and self.steps",
        "False",
        "test_backtrack::test_minimize_goes_on_from_the_point_before",
    ),
]
