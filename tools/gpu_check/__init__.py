"""Everything that only a machine with a GPU can show, in one command of under 8 minutes.

    bash tools/gpu_check.sh FOLDER [--resume]

It runs parts, in order of value. Each is a process of its own with a limit, leaves what it measured up to there, and stops no
other part, whether it fails or hangs:

    machine      device, driver and versions
    smoke        each thing once on the GPU, bit for bit beside NumPy
    tuning       chunks, blocks, vectors in flight, kinds of stores: the share of a copy's bandwidth that each reaches
    adam         Adam beside PyTorch and a device copy, at 64 M float32 and on 300 arrays of 1,000
    suite        the tests that need a GPU, named as they go
    rules        the other rules, and a chain, as Adam
    bfloat16, master, rounded    Adam on 16 bits: plain, with float32 copies, rounded at random
    graph        small steps, and their replay from a CUDA graph
    rivals       every usual rule beside expressions by hand and optax under jit
    benchmarks   the asv suite's benchmarks of the GPU, without asv
    profile      counters of the kernels, where ncu is installed
    memory       the smoke test under compute-sanitizer, where that is installed
    demo         `gpuopt demo`

Two files are left. FOLDER/summary.md says which bars are met, and has tables for docs/performance.md. FOLDER/details.tgz
has every log and number. Both are written after every part. Files called running.* are of the part in progress. `--resume`
goes on where a run ended, with the archive in FOLDER or another one: what was not begun comes first, what was done is not run
again, and smoke, tuning and suite go on with what is left of them.

The exit code is 1 if a part failed, was cut off or was not begun; a bar that was missed is no failure. $PYTHON chooses the
interpreter.
"""
