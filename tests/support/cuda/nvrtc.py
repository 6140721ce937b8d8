"""Compile a kernel's text for a GPU that is not there, with NVRTC from PyPI, and read the machine code.

This shows that the text compiles for each architecture, how many registers it takes, whether it spills, and which
instructions it became. The options are those that CuPy compiles with.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

_RESOURCES = {
    "registers": r"Used (\d+) registers",
    "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
    "stack": r"(\d+) bytes stack frame",
}
# A line of nvdisasm: address, perhaps a predicate, the instruction with its modifiers, the operands.
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_]*(?:\.\w+)*)")
_FP64 = re.compile(r"^D(?:ADD|MUL|FMA|SETP|MNMX|MMA)\b|\.F64\b|64H\b")
_GLOBAL_ACCESS = re.compile(r"^(LDG|STG|LD|ST)\b")


class CompileError(RuntimeError):
    """The text does not compile; the message is the compiler's."""


@dataclass(frozen=True)
class Compiled:
    """Machine code of one kernel and what it takes: registers a thread, and bytes a thread of the rest."""

    cubin: bytes = field(repr=False)
    log: str = field(repr=False)
    arch: str
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int


@dataclass(frozen=True)
class Access:
    """One instruction that loads from or stores to global memory, and how many bits a thread moves by it."""

    instruction: str
    bits: int

    @property
    def is_load(self) -> bool:
        """Whether it loads; else it stores."""
        return self.instruction.startswith("LD")


@cache
def available(*, disassembler: bool = False) -> str | None:
    """Return why kernels cannot be compiled here (or, if asked for, disassembled), or None if they can."""
    try:
        import_module("cupy")
        import_module("cupy_backends.cuda.libs.nvrtc").getVersion()
        import_module("cupy._core.core").assemble_cupy_compiler_options(())
        if disassembler:
            _nvdisasm()
    except Exception as error:  # CuPy reports a missing part as ImportError, RuntimeError, AttributeError, OSError ...
        return f"{type(error).__name__}: {error}"
    return None


def version() -> tuple[int, int]:
    """Return the version of the compiler."""
    found: tuple[int, int] = import_module("cupy_backends.cuda.libs.nvrtc").getVersion()
    return found


def compile_cubin(text: str, arch: str = "sm_90", options: Sequence[str] = ()) -> Compiled:
    """Compile the text of one kernel into machine code.

    Parameters
    ----------
    text : str
        The complete text, from ``gpuopt.codegen.cuda.complete.complete_source``.
    arch : str
        The architecture, from ``sm_75`` on (NVRTC 13 has none older).
    options : sequence of str
        The kernel's own options, from ``text.kernel_options``.

    Raises
    ------
    CompileError
        It does not compile.
    """
    core, compiler = import_module("cupy._core.core"), import_module("cupy.cuda.compiler")
    nvrtc = import_module("cupy_backends.cuda.libs.nvrtc")
    added = ("-ftz=true", f"-arch={arch}", "--device-as-default-execution-space", "--ptxas-options=-v")
    program = compiler._NVRTCProgram(text, "kernel.cu", method="cubin")
    try:
        cubin, _ = program.compile(core.assemble_cupy_compiler_options(tuple(options)) + added)
    except (compiler.CompileException, nvrtc.NVRTCError) as error:
        raise CompileError(str(error)) from error
    log: str = nvrtc.getProgramLog(program.ptr)
    numbers = {name: _number(pattern, log) for name, pattern in _RESOURCES.items()}
    return Compiled(cubin=cubin, log=log, arch=arch, **numbers)


def sass(compiled: Compiled) -> str:
    """Return the machine code as text, one instruction a line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(compiled.cubin + b"\0")  # CuPy strips the last byte
        done = subprocess.run([_nvdisasm(), "-c", "-ndf", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"nvdisasm failed on {compiled.arch}: {done.stderr.strip()}")
    return done.stdout


def instructions(sass_text: str) -> list[str]:
    """Return the instructions in order, with modifiers and without operands, such as ``LDG.E.128``."""
    return _INSTRUCTION.findall(sass_text)


def fp64_instructions(sass_text: str) -> list[str]:
    """Return the instructions that compute in, or convert to or from, float64: none belongs in a float32 kernel."""
    return [name for name in instructions(sass_text) if _FP64.search(name)]


def global_accesses(sass_text: str) -> list[Access]:
    """Return the loads from and stores to global memory (generic addresses included), in order."""
    return [Access(name, _bits(name)) for name in instructions(sass_text) if _GLOBAL_ACCESS.search(name)]


def _bits(name: str) -> int:
    """Return the width of a memory instruction, which is 32 where it names none."""
    widths = [int(width) for width in re.findall(r"\.[USB]?(8|16|32|64|128|256)\b", name)]
    return widths[-1] if widths else 32


def _number(pattern: str, log: str) -> int:
    """Return the largest number that ptxas reports: of the kernel, and of functions that it calls, such as double pow."""
    found = re.findall(pattern, log)
    if not found:
        raise RuntimeError(f"no match of {pattern!r} in the log of ptxas:\n{log}")
    return max(map(int, found))


@cache
def _nvdisasm() -> str:
    """Return the path of nvdisasm: that of the PyPI package, else the one on the PATH."""
    for package in ("nvidia-cuda-nvdisasm", "nvidia-cuda-nvdisasm-cu12"):
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == "nvdisasm":
                return str(file.locate())
    found = shutil.which("nvdisasm")
    if found is None:
        raise FileNotFoundError("nvdisasm not found: pip install nvidia-cuda-nvdisasm")
    return found
