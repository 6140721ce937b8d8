"""What a project says of itself in asv.conf.json, under "frontpage": all that this plugin knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

WORSE = ("more", "less", "either")


class SettingsError(ValueError):
    """The settings in asv.conf.json cannot be used."""


@dataclass(frozen=True)
class Exact:
    """A benchmark whose values do not depend on the clock."""

    tolerance: float = 0.0
    """The share by which a value may differ and still count as the same."""
    worse: str = "more"
    """Which change is a loss: "more", "less", or "either"."""
    gates: bool = True
    """Whether a change for the worse fails a pull request."""

    def is_worse(self, before: float, after: float) -> bool:
        slack = self.tolerance * abs(before)
        more, less = after > before + slack, after < before - slack
        return (more and self.worse != "less") or (less and self.worse != "more")

    def is_better(self, before: float, after: float) -> bool:
        return not self.is_worse(before, after) and abs(after - before) > self.tolerance * abs(before)

    def best(self, values: list[float]) -> float:
        """The value that a later one is held against; where any change is a loss, the first."""
        return {"more": min, "less": max}.get(self.worse, lambda found: found[0])(values)


@dataclass(frozen=True)
class Limit:
    """Benchmarks that give a time over the least possible one: 1 is the limit."""

    benchmarks: str
    """How their names begin."""
    rows: str
    columns: str
    size: str
    at: float = 1.15
    near: float = 2.0


@dataclass(frozen=True)
class Crossover:
    """Benchmarks that give a time by size on two sides, of which one overtakes the other."""

    benchmarks: str
    rows: str
    sides: str
    of: str
    """The value of ``sides`` that overtakes all others."""
    size: str


@dataclass(frozen=True)
class Settings:
    """What is shown, and how."""

    heading: str = "benchmarks"
    about: str = "Less is better everywhere."
    limit: Limit | None = None
    exact: dict[str, Exact] = field(default_factory=dict)
    crossover: Crossover | None = None
    first: str = ""
    """Machines that have this fact come first, such as "gpu"."""
    accepted: str = ""
    """The path, in the repository, of the file with lines ``accepted: BENCHMARK REASON``."""
    styles: Sequence[str] = ()
    """Two style files of matplotlib, for light and dark pages, seen from this folder: lines have their first colour."""
    address: str = ""
    """Where the pages are published; links in the feed begin with it."""


def settings(config: dict[str, Any]) -> Settings:
    """The settings in the content of asv.conf.json."""
    given = dict(config.get("frontpage", {}))
    exact = {name: one_exact(name, value) for name, value in given.pop("exact", {}).items()}
    parts = {
        name: made(kind, name, given.pop(name)) for name, kind in (("limit", Limit), ("crossover", Crossover)) if name in given
    }
    found: Settings = made(Settings, "frontpage", given | parts | {"exact": exact})
    return found


def one_exact(name: str, value: Any) -> Exact:
    """A counter's tolerance, or an object of all that can be said of it."""
    found: Exact = made(Exact, name, value if isinstance(value, dict) else {"tolerance": value})
    if found.worse not in WORSE:
        raise SettingsError(f"{name} in asv.conf.json: worse must be one of {', '.join(WORSE)}, not {found.worse!r}")
    return found


def made(kind: Any, name: str, given: dict[str, Any]) -> Any:
    known = [f.name for f in fields(kind)]
    if unknown := given.keys() - known:
        raise SettingsError(f"{name} in asv.conf.json has no {min(unknown)!r}; it may have {', '.join(known)}")
    try:
        return kind(**given)
    except TypeError as error:
        raise SettingsError(f"{name} in asv.conf.json: {error}") from None
