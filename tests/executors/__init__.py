"""`gpuopt/executors`: the bits of every executor, memory, threads, launches."""
