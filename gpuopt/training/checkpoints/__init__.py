"""Checkpoints: an optimizer and its parameters in one file, from which a killed run goes on.

Comes in: an `Optimizer`, and plain values beside it. Goes out: a file that is whole or not there.
It may import whatever comes before `fit`.
"""
