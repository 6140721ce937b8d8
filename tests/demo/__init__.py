"""`gpuopt/demo`: the network that is trained, and its picture."""
