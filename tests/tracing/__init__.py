"""`gpuopt/tracing`: what a formula may do, and the program it becomes."""
