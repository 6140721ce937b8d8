"""Exact counters, the gate of a pull request: each is a property of the code, and the same on a busy machine."""

import functools
import importlib
import sys
import tracemalloc

from gpuopt.rules import rules

from . import callgrind
from .common import (
    CHAIN,
    DTYPES,
    EXECUTORS,
    RULES,
    emulated_device,
    leaves,
    measure,
    module,
    named,
    need,
    of_tests,
    problem,
    rule_called,
)

source = module("codegen.source", "source")

ARRAYS = [1, 10, 1_000]
ARCHITECTURE = "sm_90"


class Counters:
    """State, temporaries and host instructions of every rule on every executor, in float32."""

    params = (RULES, EXECUTORS)
    param_names = ("rule", "executor")
    elements = 100_000  # few enough for one thread

    def setup(self, *arguments):
        rule, executor = arguments[-2:]  # before them what setup_cache returned, where there is one
        need(executor)
        self.step, self.wait, self.opt = problem(rule, executor, self.elements)

    def track_state_bytes(self, rule, executor):
        return sum(a.nbytes for tree in self.opt.state.values() for a in leaves(tree)) / self.elements

    track_state_bytes.unit = "bytes an element"
    track_state_bytes.pretty_name = "State of an element"
    track_state_bytes.version = "1"

    def track_temporaries(self, rule, executor):
        for _ in range(20):
            self.step()
        if executor == "cupy":
            return _device_bytes(self.step)
        return min(_peak(self.step) for _ in range(5))

    track_temporaries.unit = "bytes"
    track_temporaries.pretty_name = "Memory that a step of 100,000 elements takes for a while"
    track_temporaries.version = "1"

    def track_host_instructions(self, counts, rule, executor):
        return counts[f"{rule} {executor}"]

    track_host_instructions.unit = "instructions"
    track_host_instructions.pretty_name = "Host instructions of a step of 1,000 elements"
    track_host_instructions.version = "1"
    track_host_instructions.timeout = 900


def _count_instructions():
    return callgrind.counts(RULES, [e for e in EXECUTORS if e != "cupy" and not measure.why_not(e)])


def _need_callgrind(counts, rule, executor):
    if executor == "cupy":
        raise NotImplementedError("valgrind does not run a GPU's driver")
    if reason := callgrind.why_not():
        raise NotImplementedError(reason)


_count_instructions.timeout = 900
Counters.track_host_instructions.setup_cache = _count_instructions
Counters.track_host_instructions.setup = _need_callgrind


class Chain:
    """State and temporaries of a chain with a reduction on every executor, in float32."""

    params = (EXECUTORS,)
    param_names = ("executor",)
    elements = Counters.elements

    def setup(self, executor):
        Counters.setup(self, CHAIN, executor)

    def track_chain_state_bytes(self, executor):
        return Counters.track_state_bytes(self, CHAIN, executor)

    track_chain_state_bytes.unit = "bytes an element"
    track_chain_state_bytes.pretty_name = "State of an element under a chain"
    track_chain_state_bytes.version = "1"

    def track_chain_temporaries(self, executor):
        return Counters.track_temporaries(self, CHAIN, executor)

    track_chain_temporaries.unit = "bytes"
    track_chain_temporaries.pretty_name = "Memory that a step of a chain on 100,000 elements takes for a while"
    track_chain_temporaries.version = "1"


def _peak(step):
    """Bytes above those held before, at the worst moment of a step."""
    tracemalloc.start()
    try:
        step()  # what the tracer itself needs is there now
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        step()
        return tracemalloc.get_traced_memory()[1] - held
    finally:
        tracemalloc.stop()


def _device_bytes(step):
    """Bytes that a step takes from CuPy's memory pool."""
    taken = []

    class Count(sys.modules["cupy"].cuda.MemoryHook):
        name = "count"

        def malloc_postprocess(self, **details):
            taken.append(details["size"])

    with Count():
        step()
    return sum(taken)


class Launches:
    """Kernel launches of a step, counted by an emulated device that runs none of them: a GPU is not needed."""

    params = ([*RULES, CHAIN], ARRAYS)
    param_names = ("rule", "arrays")

    def setup(self, rule, arrays):
        emulated_device()
        self.rule = rule_called(rule)

    def track_launches(self, rule, arrays):
        return count_launches(self.rule, arrays)

    track_launches.unit = "launches a step"
    track_launches.pretty_name = "Kernel launches of a step"
    track_launches.version = "1"


def kernel_of(written):
    """The CuPy kernel of a text; the function that makes it moved, too."""
    compiling = module("codegen.cuda.compile", "executors.cupy_kernel")
    return (compiling.compile_kernel if hasattr(compiling, "compile_kernel") else compiling.made)(written)


def count_launches(rule, arrays):
    """How often a step of `arrays` arrays of 8 elements calls a kernel."""
    device, asked = emulated_device(), of_tests("support.asked")
    with device.plugged_in(), asked.idle_device() as log:
        cupy = importlib.import_module("cupy")
        params, grads = (measure.make_arrays(cupy, 8, arrays, seed=seed) for seed in (0, 1))
        opt = rule.init(params)
        opt.step(grads)  # the first step may prepare something
        launches = asked.during(log, opt, grads)["launch"]
    if not launches:
        raise RuntimeError("the step launched no kernel")
    return launches


@functools.cache
def compiled(rule, dtype):
    """The kernel of a rule, as NVRTC compiles it, and its instructions; once for all that is read from it."""
    nvrtc = of_tests("support.cuda.nvrtc")
    if reason := nvrtc.available(disassembler=True):
        raise NotImplementedError(reason)
    texts = module("codegen.cuda.complete", "executors.cupy_text")
    (written,) = source.kernels(rules()[rule](), named(dtype))
    function = kernel_of(written)
    complete = texts.complete_source if hasattr(texts, "complete_source") else texts.complete_text
    made = nvrtc.compile_cubin(complete(function, written.dtypes), ARCHITECTURE, texts.kernel_options(function))
    return made, nvrtc.sass(made)


class Kernels:
    """The kernel of every rule, as NVRTC compiles it for one architecture; no GPU is needed."""

    params = (RULES, DTYPES)
    param_names = ("rule", "dtype")

    def setup(self, rule, dtype):
        self.compiled, self.sass = compiled(rule, dtype)

    def track_instructions(self, rule, dtype):
        return len(of_tests("support.cuda.nvrtc").instructions(self.sass))

    track_instructions.unit = "instructions"
    track_instructions.pretty_name = f"Instructions of a kernel ({ARCHITECTURE})"
    track_instructions.version = "1"

    def track_wide_accesses(self, rule, dtype):
        return sum(access.bits >= 128 for access in of_tests("support.cuda.nvrtc").global_accesses(self.sass))

    track_wide_accesses.unit = "accesses"
    track_wide_accesses.pretty_name = f"Loads and stores of 16 bytes in a kernel, of which fewer are worse ({ARCHITECTURE})"
    track_wide_accesses.version = "1"

    def track_resident_warps(self, rule, dtype):
        return resident_warps(self.compiled.registers)

    track_resident_warps.unit = "warps"
    track_resident_warps.pretty_name = f"Warps that a multiprocessor holds, of which fewer are worse ({ARCHITECTURE})"
    track_resident_warps.version = "1"

    def track_registers(self, rule, dtype):
        return self.compiled.registers

    track_registers.unit = "registers"
    track_registers.pretty_name = f"Registers of a thread ({ARCHITECTURE})"
    track_registers.version = "1"

    def track_spills(self, rule, dtype):
        return self.compiled.spill_stores + self.compiled.spill_loads + self.compiled.stack

    track_spills.unit = "bytes"
    track_spills.pretty_name = f"Spilled bytes and stack of a thread ({ARCHITECTURE})"
    track_spills.version = "1"


def resident_warps(registers):
    """Of 64 warps, those that 65,536 registers are enough for; a warp gets them by 256, and four warps come at once."""
    each = -(-32 * registers // 256) * 256
    return min(64, 65_536 // each // 4 * 4)
