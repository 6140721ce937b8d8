"""`gpuopt/problems`: functions to try a method with."""
