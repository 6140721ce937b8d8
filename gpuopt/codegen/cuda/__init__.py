"""CUDA C++ text: for one array, for many by a table, for reductions, and for the scalars computed
from them.

Comes in: a traced program and dtypes. Imports: `arrays`, `tracing` and the rest of `codegen`.
"""
