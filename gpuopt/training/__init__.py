"""Loops: mini-batch training, minimization in SciPy's shape, and the record of a training.

Comes in: the user's loss and gradients, data, and a rule or an optimizer. Imports: `optimizer` and
all modules before it.
"""
