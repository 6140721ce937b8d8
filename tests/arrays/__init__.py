"""`gpuopt/arrays`: what arrays are, and which library they belong to."""
