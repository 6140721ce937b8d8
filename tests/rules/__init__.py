"""`gpuopt/rules` and `gpuopt/schedules.py`: formulas, pieces, chains, partitions, schedules, and what they refuse."""
