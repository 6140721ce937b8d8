"""Mistakes in pieces of chains: arrays written in them, projections and penalties."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "two pieces told apart by what array they hold, not by its elements",
        "written:_equal",
        "_1 and bool((a == b).all())",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "arrays compared without their dtypes",
        "written:_equal",
        "(a.shape, a.dtype) == (b.shape, b.dtype)",
        "a.shape == b.shape",
        "test_written_arrays",
    ),
    Mistake(
        "an array that is exchanged while steps read another",
        "hyper_arrays:check_kept",
        "not same(_1, _2)",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "a tree of arrays taken for one array",
        "hyper_arrays:_written",
        "isinstance(value, (dict, list, tuple))",
        "isinstance(value, (list, tuple))",
        "test_written_arrays",
    ),
    Mistake(
        "no number, where there is no array in its place",
        "hyper_arrays:_written",
        "update.hyperparameters[name] is not None",
        "False",
        "test_written_arrays",
    ),
    Mistake(
        "an array in a state dict",
        "state_dict_of",
        "not callable(x) and (not is_written(x))",
        "not callable(x)",
        "test_written_arrays",
    ),
    Mistake(
        "a penalty by the learning rate in the metric of the rule",
        "Proximal._scale",
        "_scale_of_rule(self)",
        "self.rule.lr",
        "test_constraints::test_the_lasso_is_solved_behind_every_rule_that_says_its_scale",
    ),
    Mistake(
        "a scale that a piece has changed since",
        "bind_scale",
        "vars(formula.rule)['scale'] = None",
        "pass",
        "test_constraints::test_without_a_scale_the_metric_must_be_euclidean",
    ),
    Mistake(
        "a heavy ball that is taken for an average",
        "Momentum.scale",
        "self.lr * _1",
        "self.lr",
        "test_constraints",
    ),
    Mistake(
        "a scale without the correction of the second moment",
        "scale_of",
        "lr_and_eps(rule, 1.0, w2)",
        "(rule.lr, rule.eps)",
        "test_constraints::test_a_steady_gradient_is_multiplied_by_the_scale",
    ),
    Mistake(
        "a momentum of RMSProp that its scale does not know",
        "RMSProp.scale",
        "self.lr / (1 - self.momentum)",
        "self.lr",
        "test_constraints",
    ),
    Mistake(
        "weights that are summed once more for a scale",
        "Weights.total",
        "beta not in self._of",
        "True",
        "test_constraints::test_a_scale_asks_for_no_weights_of_its_own",
    ),
    Mistake(
        "a zero without a place on the unit circle",
        "unit_modulus.nearest",
        "np.where(x == 0, 1.0, _1)",
        "_1",
        "test_constraints::test_sets_by_their_definitions",
    ),
    Mistake(
        "a radius that the stored numbers pass",
        "disk",
        "(('', 'radius'),)",
        "()",
        "test_constraints::test_a_disk_holds_for_what_is_stored",
    ),
    Mistake(
        "a modulus that shrinks past 0",
        "shrunk",
        "np.where(size <= most, 0.0, _1)",
        "_1",
        "test_constraints::test_of_a_complex_number_the_modulus_is_the_penalty",
    ),
    Mistake(
        "a tree's own mask for all of its entries",
        "Proximal._of",
        "tree[key]",
        "tree",
        "test_constraints::test_prox_of_trees",
    ),
]
