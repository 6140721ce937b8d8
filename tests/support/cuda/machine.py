"""The machine code of generated kernels, each compiled once: how lean it is, and its text."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
from importlib import import_module, metadata
from typing import Any

from . import nvrtc
from .kept import kept, key


def compile_lean(written: Any, arch: str = "sm_90") -> nvrtc.Compiled:
    """Compile a kernel with its own options; no thread may keep anything but registers."""
    text = import_module("gpuopt.codegen.cuda.complete")
    kernel = import_module("gpuopt.codegen.cuda.compile").compile_kernel(written)
    compiled = compile_cubin(text.complete_source(kernel, written.dtypes), arch, tuple(text.kernel_options(kernel)))
    assert (compiled.spill_stores, compiled.spill_loads, compiled.stack) == (0, 0, 0), written.name
    return compiled


def compile_cubin(source: str, arch: str, options: tuple[str, ...]) -> nvrtc.Compiled:
    """`nvrtc.compile_cubin`, kept."""

    def make(path: Any) -> None:
        fields = dataclasses.asdict(nvrtc.compile_cubin(source, arch, options))
        path.write_text(json.dumps(fields | {"cubin": base64.b64encode(fields["cubin"]).decode()}))

    name = key(source, arch, *options, _versions())
    fields = json.loads(kept(f"{name}.cubin.json", make).read_text())
    return nvrtc.Compiled(**fields | {"cubin": base64.b64decode(fields["cubin"])})


def sass(compiled: nvrtc.Compiled) -> str:
    """`nvrtc.sass`, kept."""
    name = key(compiled.cubin, compiled.arch, _versions())
    return kept(f"{name}.sass", lambda path: path.write_text(nvrtc.sass(compiled))).read_text()


@functools.cache
def _versions() -> str:
    """The compiler, what adds its options and its headers, and the disassembler."""
    names = ("cupy", "nvidia-cuda", "nvidia_cuda")
    found = {f"{item.name} {item.version}" for item in metadata.distributions() if item.name.startswith(names)}
    return " ".join([*sorted(found), str(nvrtc.version())])
