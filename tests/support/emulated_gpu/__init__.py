"""A GPU made of software: CuPy's own compiled host code, and every kernel's own text, run on the CPU.

The C functions that CuPy imports from its modules of the CUDA runtime and driver are replaced before CuPy is imported
(`replace`). Its memory pool, streams, events, graphs and its packing of arguments are then CuPy's own; what they ask of the
device is done here: memory in `memory`, streams, events and graphs in `streams` and `graphs`, and kernels in `kernels`, by two
files of C++.

`load` does that once a process, and changes nothing that is seen: there is no device until it is `plugged_in`.

| variable | |
|---|---|
| ``EMULATED_STREAMS=late`` | a stream's work is done only when something waits for it, instead of at once |
| ``EMULATED_CHECK=1`` | each access of a kernel is checked: bounds, freed memory, alignment |
| ``EMULATED_CHECK=2`` | memory that nobody wrote, too |
| ``EMULATED_SEED=7`` | blocks and threads in a random order; they change hands at atomics, fences and barriers |
| both of them | and at any access |
| ``EMULATED_WORKERS=2`` | blocks run on so many threads of the host |
| ``EMULATED_DEVICES=1`` | so many devices, 2 unless it says otherwise |
| ``EMULATED_MEMORY`` | the bytes of a device's memory, 4 GiB unless it says otherwise |
"""
