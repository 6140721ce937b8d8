"""Mistakes in the doors to other libraries."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

BATCHES = "test_sklearn::test_batches_one_by_one_are_a_fit"
MISTAKES = [
    Mistake(
        "a rule that takes over from scikit-learn's own optimizer, in silence",
        "_ByRule._fit_stochastic",
        "begun and _1 != _2",
        "False",
        "test_sklearn::test_what_would_train_nothing_or_otherwise_is_refused",
    ),
    Mistake(
        "a schedule that differs in one process",
        "agreement:shown",
        "callable(value)",
        "False",
        "test_distributed::test_processes_do_together_what_one_does",
    ),
    Mistake("averages are never shown", "_RuleOptimizer.evaluated", "_1 if same else found", "_1", BATCHES),
    Mistake("goes on from the averages", "_RuleOptimizer.trained", "return self._params", "return shown", BATCHES),
    Mistake("a pickle without its state", "_RuleOptimizer._optimizer", "self._saved is not None", "False", BATCHES),
    Mistake(
        "weights that were assigned are left out",
        "_RuleOptimizer.trained",
        "own[...] = array",
        "pass",
        "test_sklearn::test_another_rate_and_assigned_weights_hold_in_the_next_batch",
    ),
    Mistake(
        "early stopping scores what is trained",
        "_ByRule._update_no_improvement_count",
        "early_stopping and _1",
        "False",
        "test_sklearn::test_early_stopping_keeps_the_best_averages",
    ),
    Mistake(
        "the last averages in place of the best",
        "_ByRule._fit_stochastic",
        "_1 and not self.early_stopping",
        "_1",
        "test_sklearn::test_early_stopping_keeps_the_best_averages",
    ),
    Mistake(
        "a parameter without an effect taken in silence",
        "_ByRule._check_rule",
        "(value := _1) != (default := _2)",
        "False",
        "test_sklearn::test_what_is_refused",
    ),
]
