"""Checkpoints: an optimizer and its parameters in one file, from which a killed run continues.

Comes in: an `Optimizer`, and further plain values. Goes out: a file that is complete or absent. It
may import all modules before `fit`.
"""
