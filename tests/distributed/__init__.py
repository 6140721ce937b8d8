"""`gpuopt/distributed`: optimizers of several processes."""
