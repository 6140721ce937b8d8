"""Host instructions of a step, counted by callgrind: exact, whatever else the machine does.

One process under valgrind measures every rule on an executor. It asks callgrind itself to count while steps run, by
the instruction sequence of valgrind's client requests (valgrind.h), so that imports and compilation do not count.
"""

import ctypes
import functools
import gc
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gpuopt.bench import measure
from gpuopt.rules import rules

STEPS, WARM = 20, 60  # Python 3.11 specialises its code in the first calls
SIZE = 1_000
_BASE = ord("C") << 24 | ord("T") << 16  # callgrind.h
_ZERO, _DUMP_AT, _START, _STOP = (_BASE + number for number in (1, 3, 4, 5))
# mov rax, rdi; xor edx, edx; rol rdi by 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
_REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# What the counts depend on and a machine could change: the code that Numba makes, threads, the order of sets.
_FIXED = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "GPUOPT_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
}


def why_not():
    """None if callgrind can count here, else the reason why not."""
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux":
        return "callgrind is asked in x86-64 machine code, on Linux"
    return None if shutil.which("valgrind") else "valgrind is not installed"


def counts(names, executors):
    """Instructions a step by "rule executor"; {} where callgrind cannot count.

    Each executor has a process of its own, as Python specialises its code for the types that come first.
    """
    return {} if why_not() else {name: count for executor in executors for name, count in _counts(names, executor)}


def _counts(names, executor):
    # A folder of a fixed name: the hash of a random one would decide where dictionaries have collisions.
    cache = Path(tempfile.gettempdir()) / f"gpuopt-callgrind-{os.getuid()}"
    environment = {**os.environ, **_FIXED, "GPUOPT_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", __file__, executor, *names]  # -P: the modules beside this file are not for import
    _run(command, environment)  # compiles, so that valgrind loads
    with tempfile.TemporaryDirectory() as folder:
        _run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out", *command], environment
        )
        found = dict(_read(path) for path in Path(folder).glob("out.*"))
    empty = found.pop("empty")
    return [(f"{rule} {executor}", round((total - empty) / STEPS)) for rule, total in found.items()]


def _run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}: {done.stderr.strip()[-2000:]}")


def _read(path):
    text = path.read_text()
    name, total = (re.search(rf"^{label}: (.+)$", text, re.MULTILINE) for label in ("desc: Trigger: Client Request", "totals"))
    return name[1], int(total[1])


def _requests():
    """The function that passes a client request to valgrind; it does nothing without valgrind."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_REQUEST)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    call.code = code  # kept as long as the function
    return lambda request, text=b"": call((ctypes.c_uint64 * 6)(request, ctypes.cast(text, ctypes.c_void_p).value or 0))


def main():
    request = _requests()
    steps = {"empty": lambda: None}
    executor, *names = sys.argv[1:]
    for rule in names:
        p, g = measure.make_arrays(measure.np, SIZE, 2)
        steps[rule] = functools.partial(measure.optimizer(rules()[rule](), p, executor).step, g)
    gc.disable()
    for name, step in steps.items():
        for _ in range(WARM):
            step()
        request(_START)
        request(_ZERO)
        for _ in range(STEPS):
            step()
        request(_DUMP_AT, name.encode())
        request(_STOP)


if __name__ == "__main__":
    main()
