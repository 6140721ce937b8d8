"""`gpuopt/bench`: what is measured, and what is printed of it."""
