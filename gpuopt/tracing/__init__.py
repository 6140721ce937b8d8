"""A formula, run once on symbols, becomes a program that is data.

Comes in: a rule or a chain. Imports: `arrays` and `rules`.
"""
