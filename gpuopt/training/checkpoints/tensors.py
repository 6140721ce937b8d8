"""The same tree in one safetensors file, with the checksums in its metadata."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from gpuopt.arrays.backend import optional_import
from gpuopt.arrays.dtypes import named
from gpuopt.training.checkpoints.archive import (
    CHECKSUM,
    MANIFEST,
    checked_manifest,
    manifest,
)
from gpuopt.training.checkpoints.error import CheckpointError, naming
from gpuopt.training.checkpoints.plain import parsed, plain
from gpuopt.training.checkpoints.replacing import replacing

__all__ = ["read_tensors", "write_tensors"]

_DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BF16": "bfloat16",
    "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64",
}  # fmt: skip
"""The dtypes of the format by its codes; arrays of other dtypes are stored as bytes."""
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def write_tensors(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree. The file at `path` is always complete."""
    library = optional_import("safetensors.numpy", "a file called .safetensors")
    content, tensors, others = plain(tree), {}, {}
    for name, array in content.arrays.items():
        tensor = np.asarray(array, order="C")
        if name in content.bfloat16:
            tensor = tensor.view(named("bfloat16"))
        elif tensor.dtype.str[0] == ">" or tensor.dtype.name not in _CODES:
            others[name] = tensor.dtype.str, tensor.shape
            tensor = np.frombuffer(tensor.tobytes(), np.uint8)
        tensors[name.replace("/", ".")] = tensor
    checksums = {
        name: _checksum(_CODES[tensor.dtype.name], tensor.shape, tensor.tobytes())
        for name, tensor in tensors.items()
    }
    content.document = {"tree": content.document, "others": others}
    text = manifest(content, checksums)
    about = {MANIFEST: text, CHECKSUM: hashlib.sha256(text.encode()).hexdigest()}
    with replacing(path) as file:
        file.write(library.save(tensors, about))


def read_tensors(path: str | os.PathLike[str]) -> Any:
    """The tree in a file; errors are those of `read_archive`."""
    library = optional_import("safetensors", "a file called .safetensors")
    data = Path(path).read_bytes()
    with naming(path):
        with library.safe_open(path, framework="np") as file:
            about = file.metadata() or {}
        if MANIFEST not in about and CHECKSUM not in about:
            raise CheckpointError(
                f"{os.fspath(path)} is not a checkpoint of gpuopt, because it has no manifest: "
                "read arrays with safetensors.numpy.load_file"
            )
        found = checked_manifest(about[MANIFEST].encode(), about[CHECKSUM])
        tensors = dict(library.deserialize(data))
        if tensors.keys() != found["arrays"].keys():
            raise ValueError("its arrays differ from its manifest")
        document, others = found["tree"]["tree"], found["tree"]["others"]
        arrays = {}
        for name, tensor in tensors.items():
            own, code, data = name.replace(".", "/"), tensor["dtype"], tensor["data"]
            if _checksum(code, tensor["shape"], data) != found["arrays"][name]:
                raise ValueError(f"{name} has another checksum")
            bits = "uint16" if code == "BF16" else _DTYPES[code]
            dtype, shape = others.get(own, (bits, tensor["shape"]))
            arrays[own] = np.frombuffer(data, dtype).reshape(shape)
        return parsed(document, arrays)


def _checksum(code: str, shape: Any, data: Any) -> str:
    """The checksum of a tensor, with its dtype and its shape."""
    return hashlib.sha256(f"{code} {list(shape)} ".encode() + bytes(data)).hexdigest()
