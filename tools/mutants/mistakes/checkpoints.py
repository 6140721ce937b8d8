"""Mistakes in what is written to files, and read from them."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "a file named before it is on the disk",
        "replacing:replacing",
        "os.fsync(_1.fileno())",
        "pass",
        "test_damage::test_what_is_saved_is_brought_to_the_disk_before_it_is_named",
    ),
    Mistake(
        "the name of a file not on the disk",
        "replacing:replacing",
        "_sync_folder(_1)",
        "pass",
        "test_damage::test_what_is_saved_is_brought_to_the_disk_before_it_is_named",
    ),
    Mistake(
        "half a file left behind",
        "replacing:replacing",
        "_1.unlink(missing_ok=True)",
        "pass",
        "test_damage::test_a_full_disk_leaves_the_old_file",
    ),
    Mistake(
        "a link replaced by a file",
        "replacing:replacing",
        "Path(os.path.realpath(path))",
        "Path(path)",
        "test_damage::test_a_link_stays_a_link",
    ),
    Mistake(
        "what another process writes deleted",
        "sweep",
        "_locked(file)",
        "True",
        "test_damage::test_what_a_killed_save_left_is_swept_and_what_others_write_is_not",
    ),
    Mistake(
        "what a killed process left not deleted",
        "replacing:replacing",
        "sweep(_1, _2)",
        "pass",
        "test_damage::test_what_a_killed_save_left_is_swept_and_what_others_write_is_not",
    ),
    Mistake(
        "a checksum that is not looked at",
        "check_sum",
        "hashlib.sha256(data).hexdigest() != expected",
        "False",
        "test_damage::test_no_flipped_bit_loads_anything_wrong",
    ),
    Mistake(
        "an archive of any size read",
        "_tree",
        "info.compress_type != zipfile.ZIP_STORED or _1",
        "_1",
        "test_damage::test_what_is_compressed_is_refused",
    ),
    Mistake(
        "a later version of the format read",
        "checked_manifest",
        "found['version'] > VERSION",
        "False",
        "test_damage::test_what_is_of_another_kind_is_refused",
    ),
    Mistake(
        "two arrays under one name",
        "plain._name",
        "name.lower() in self._lower",
        "False",
        "test_checkpoints::test_numpy_opens_the_file_under_readable_names",
    ),
    Mistake(
        "a bfloat16 widened to another number",
        "_bfloat16",
        "_1 << 16",
        "_1 << 15",
        "test_checkpoints::test_bfloat16_loads_without_ml_dtypes_as_float32",
    ),
    Mistake(
        "arrays for hyperparameters left as they are",
        "applied",
        "beside += _beside(_1, _2, _3)",
        "pass",
        "test_checkpoints::test_arrays_for_hyperparameters_are_restored_where_they_are",
    ),
    Mistake(
        "a read-only array written",
        "checkpoint:_beside",
        "not getattr(_1, _2, _3)",
        "False",
        "test_checkpoints::test_arrays_for_hyperparameters_are_restored_where_they_are",
    ),
    Mistake(
        "the oldest checkpoints kept",
        "Checkpointer._write",
        "self.paths[:-self.keep]",
        "self.paths[self.keep:]",
        "test_checkpointer::test_the_newest_are_kept",
    ),
    Mistake(
        "a damaged checkpoint ends a run",
        "Checkpointer._read",
        "warnings.warn(_1, stacklevel=4)",
        "raise",
        "test_checkpointer::test_the_one_before_a_damaged_one_is_loaded_with_a_warning",
    ),
]
