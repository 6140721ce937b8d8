"""Methods of `minimize` that call the function themselves, to find out how far to go.

Comes in: the function, as one of a real vector. Imports: `arrays`, and `training` up to `descent`.
"""
