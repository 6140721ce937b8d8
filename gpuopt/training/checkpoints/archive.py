"""A tree in one file that `numpy.load` opens, with a checksum for each of its parts.

The file is a zip archive of ``.npy`` files, neither compressed nor pickled, and of two more. One is
a manifest, with the tree and the SHA-256 of each array's file. The other is the manifest's SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from typing import IO, Any

import numpy as np

from gpuopt.training.checkpoints.error import CheckpointError, naming
from gpuopt.training.checkpoints.plain import parsed, plain
from gpuopt.training.checkpoints.replacing import replacing

__all__ = ["CHECKSUM", "MANIFEST", "checked_manifest", "manifest", "read_archive", "write_archive"]

FORMAT, VERSION = "gpuopt checkpoint", 1
MANIFEST = "manifest.json"
CHECKSUM = "manifest.sha256"


class _Hashed(io.RawIOBase):
    """A file to write to, with the checksum of its content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def checksum(self) -> str:
        return self._hash.hexdigest()


def write_archive(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree of plain values and arrays. The file at `path` is always complete."""
    content = plain(tree)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        checksums = {}
        for name, array in content.arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                hashed = _Hashed(entry)
                np.lib.format.write_array(hashed, array, allow_pickle=False)
            checksums[name] = hashed.checksum()
        text = manifest(content, checksums)
        archive.writestr(MANIFEST, text)
        archive.writestr(CHECKSUM, hashlib.sha256(text.encode()).hexdigest())


def manifest(content: plain, checksums: dict[str, str]) -> str:
    """The manifest of a tree whose arrays have these checksums."""
    about = {"format": FORMAT, "version": VERSION, "gpuopt": sys.modules["gpuopt"].__version__}
    return json.dumps({**about, "arrays": checksums, "tree": content.document})


def read_archive(path: str | os.PathLike[str]) -> Any:
    """The tree in a file.

    Raises
    ------
    CheckpointError
        If the file differs, in any bit of an array, from what `write_archive` wrote.
    OSError
        If it cannot be opened.
    """
    with (
        open(path, "rb") as file,  # noqa: PTH123 # any path
        naming(path),
        zipfile.ZipFile(file) as archive,
    ):
        return _tree(archive, os.fstat(file.fileno()).st_size)


def _tree(archive: zipfile.ZipFile, size: int) -> Any:
    names = archive.namelist()
    if MANIFEST not in names and CHECKSUM not in names:
        raise CheckpointError(
            "not a checkpoint of gpuopt, because it has no manifest: read arrays with numpy.load"
        )
    for info in archive.infolist():  # what is compressed could be of any size
        if info.compress_type != zipfile.ZIP_STORED or not info.file_size <= size:
            raise ValueError(f"the size of {info.filename} is wrong")
    text = archive.read(MANIFEST)
    found = checked_manifest(text, archive.read(CHECKSUM).decode())
    members = {f"{name}.npy": name for name in found["arrays"]}
    if sorted(names) != sorted([*members, MANIFEST, CHECKSUM]):
        raise ValueError("its arrays differ from its manifest")
    arrays = {}
    for member, name in members.items():
        data = archive.read(member)
        check_sum(name, data, found["arrays"][name])
        arrays[name] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return parsed(found["tree"], arrays)


def check_sum(name: str, data: bytes, expected: str) -> None:
    """Raise ValueError unless these bytes have the expected checksum."""
    if hashlib.sha256(data).hexdigest() != expected:
        raise ValueError(f"{name} has another checksum")


def checked_manifest(text: bytes, checksum: str) -> dict[str, Any]:
    """The content of a manifest, if it is complete and of a known version."""
    check_sum(MANIFEST, text, checksum)
    found: dict[str, Any] = json.loads(text)
    if found["format"] != FORMAT:
        raise ValueError(f"it is a {found['format']}")
    if found["version"] > VERSION:
        raise CheckpointError(
            f"gpuopt {found['gpuopt']} wrote it in version {found['version']} of the format, and "
            f"this one reads up to version {VERSION}: install the newer gpuopt"
        )
    return found
