"""Mistakes in the loops around an optimizer."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the short batch at the end left out",
        "data:batches",
        "range(0, count, size)",
        "range(0, count - size + 1, size)",
        "test_fit",
    ),
    Mistake(
        "a loss looked at after its update",
        "Training._examined",
        "add(__1)\nyield _1",
        "yield _1\nadd(__1)",
        "test_fit",
    ),
    Mistake(
        "losses of the last epochs never looked at",
        "Training._look",
        "several or _1 >= _CHECK_EVERY or _2",
        "several or _1 >= _CHECK_EVERY",
        "test_fit",
    ),
    Mistake(
        "a mean at the beginning of losses that are not there",
        "running_mean",
        "np.minimum(_1, window)",
        "window",
        "test_fit::test_running_mean",
    ),
    Mistake(
        "lines that end together taken for one line",
        "_look_alike",
        "apart.mean() < _ALIKE and apart[-1] < 2 * _ALIKE",
        "apart[-1] < 2 * _ALIKE",
        "test_plot::test_lines_that_coincide_are_labelled_together",
    ),
    Mistake(
        "a start that the caller alters for the next",
        "PhaseRetrieval.x0",
        "self._made[3].copy()",
        "self._made[3]",
        "test_problems::test_arrays_are_new_and_of_its_precision",
    ),
    Mistake(
        "a penalty in the loss that the gradient has not",
        "LogisticRegression.loss_and_grad",
        "self.penalty * x - _1",
        "-_1",
        "test_problems::test_the_gradient_is_right_and_the_minimum_is_one",
    ),
    Mistake(
        "a solution that Newton's method has not reached",
        "LogisticRegression._solution",
        "range(30)",
        "range(3)",
        "test_problems::test_the_gradient_is_right_and_the_minimum_is_one",
    ),
    Mistake(
        "a mean over the batches, not the examples",
        "Validation._means",
        "len(batch[0]) / count",
        "min(self._size, count) / count",
        "test_validation::test_the_means_over_all_examples",
    ),
    Mistake(
        "measured with the parameters of the steps",
        "Validation.measure",
        "optimizer.evaluation()",
        "optimizer.params",
        "test_validation::test_the_parameters_are_those_to_evaluate_with",
    ),
    Mistake(
        "patience that begins with the first epoch",
        "Validation.stops",
        "len(losses) - at",
        "len(losses)",
        "test_validation::test_it_stops_where_the_loss_no_longer_falls",
    ),
    Mistake(
        "a loss that falls by too little taken for a lower one",
        "Validation.stops",
        "least - self._least_fall",
        "least",
        "test_validation::test_it_stops_where_the_loss_no_longer_falls",
    ),
    Mistake(
        "a measured record forgotten",
        "History._restore",
        "self._validation = _1",
        "pass",
        "test_validation::test_a_killed_training_stops_where_it_would_have",
    ),
    Mistake(
        "a bar that waits for a GPU",
        "Progress.update",
        "self._waiting[0].done",
        "float(loss)",
        "test_validation::test_nothing_waits_for_a_gpu_but_patience",
        emulated=(),
    ),
    Mistake(
        "examples of a file left in the order of the file",
        "_examples",
        "examples[by_number] = _1",
        "examples[...] = _1",
        "test_data_in_files::test_the_same_bits_as_from_memory",
    ),
    Mistake(
        "a batch of a file read when it is used",
        "Stored.batches",
        "if following is not None:\n    __1\nyield batch",
        "yield batch\nif following is not None:\n    __1",
        "test_data_in_files::test_the_next_batch_is_read_while_one_is_used",
    ),
    Mistake(
        "a batch used before it has arrived",
        "_Sending.sent",
        "self._stream.synchronize()",
        "pass",
        "test_data_in_files::test_the_same_bits_as_from_memory",
        emulated=("EMULATED_STREAMS=late",),
    ),
]
