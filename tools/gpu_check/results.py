"""What the parts left: their logs and numbers, and how each ended, in one archive."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
import time
from pathlib import Path

ENDS = "parts.json"
RUNNING = "running"
_LOG = 1 << 20  # bytes of a log that are kept from its begin, and as many from its end


@dataclasses.dataclass(frozen=True)
class End:
    """How a part ended.

    Attributes
    ----------
    how : str
        done, failed, cut off, not here, not begun, or running.
    seconds : float
    why : str
        An exit code, or a reason.
    """

    how: str
    seconds: float = 0.0
    why: str = ""


class Results:
    """Files by name, as NAME.log, and the end of each part, by its name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ends: dict[str, End] = {}

    @classmethod
    def of(cls, archive: Path) -> Results:
        """Those that an archive holds."""
        found = cls()
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if (file := tar.extractfile(member)) is not None:
                    found.files[Path(member.name).name] = file.read()
        found.ends = {name: End(**end) for name, end in json.loads(found.files.pop(ENDS)).items()}
        return found

    def save(self, archive: Path) -> None:
        """Write the archive; whoever reads meanwhile sees the one before or this one."""
        ends = {name: dataclasses.asdict(end) for name, end in self.ends.items()}
        files = {**self.files, ENDS: json.dumps(ends, indent=1).encode()}
        written = archive.with_name(f"{RUNNING}.tgz")
        with tarfile.open(written, "w:gz") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(f"gpu_check/{name}")
                member.size, member.mtime = len(data), int(time.time())
                tar.addfile(member, io.BytesIO(data))
        written.replace(archive)

    def lay_out(self, name: str, folder: Path, suffix: str) -> Path:
        """Where a part leaves its numbers, with those of an earlier run, which it may go on with."""
        for path in folder.glob(f"{RUNNING}.*"):
            path.unlink()
        path = folder / f"{RUNNING}.{suffix}"
        if earlier := self.files.get(f"{name}.{suffix}"):
            path.write_bytes(earlier)
        return path

    def collect(self, name: str, folder: Path) -> None:
        """Take what a part left in `folder`."""
        for path in sorted(folder.glob(f"{RUNNING}.*")):
            data = path.read_bytes()
            if path.suffix == ".log" and len(data) > 2 * _LOG:
                data = data[:_LOG] + b"\n[...]\n" + data[-_LOG:]
            if path.suffix != ".tgz" and data:
                self.files[f"{name}{path.suffix}"] = data
            path.unlink()

    def text(self, name: str) -> str:
        return self.files.get(name, b"").decode("utf-8", errors="replace")
