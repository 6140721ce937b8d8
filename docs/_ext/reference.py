"""The reference's pages, written from what the package exports: a name that no page has ends the build.

Rules and pieces are found by their family, so a new one is here without being listed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sphinx.errors import ConfigError
from sphinx.ext.autodoc.mock import mock

import gpuopt as go
from gpuopt.rules.catalogue import every_piece
from tools.rules_table import about, families

FOLDER = Path(__file__).parents[1] / "generated" / "reference"

PAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "Optimizers": {
        "Bind a rule to arrays": ("Optimizer", "rows", "Rows", "ArrayTree"),
        "Combine rules": ("chain", "Chain", "partition", "Partition"),
    },
    "Training and minimizing": {
        "Train in batches": ("fit", "History"),
        "Minimize a function": ("minimize", "iterate", "scipy_method", "OptimizeResult"),
        "Methods that call the function": ("LBFGS", "NonlinearCG", "ProximalGradient"),
        "Check a gradient": ("check_gradient", "GradientCheck"),
        "Save and resume": ("save", "load", "Checkpointer", "CheckpointError"),
    },
    "Rules": {},
    "Pieces of a chain": {},
    "Writing rules": {
        "Base classes": ("Rule", "GradientPiece", "StepPiece", "ParameterPiece"),
        "Kinds of hyperparameters": ("Hyper", "NonNegative", "Positive", "Decay", "Bound"),
        "Inside a formula": (
            *("abs2", "debias", "each", "buffer", "standard_normal", "whole_array"),
            *("tree_sum", "tree_mean", "tree_max", "tree_norm"),
        ),
    },
    "Devices and kernels": {
        "Where updates run": ("xp", "use", "array_module", "info"),
        "Kernels and graphs": ("cuda_source", "graph", "TraceError"),
    },
}
"""Pages, their sections, and the names in each; rules and pieces are found."""
MODULES = {
    "schedules": "Schedules",
    "problems": "Problems to try a method with",
    "plot": "Pictures",
    "torch": "PyTorch",
    "sklearn": "scikit-learn",
    "distributed": "Several processes",
    "conventions": "Conventions of other libraries",
}
METHODS = {
    "Optimizer": "",
    "Rule": "init, replace, hyper, check, with_loss",
    "Checkpointer": "",
    "History": "",
    "Schedule": "plot",
    "Problem": "fun, x0, minimum, solution, array",
}
"""Classes whose methods are written out, all or some. Those of others come from these, or are for the library's own use."""


_written: set[Path] = set()


def write(app: Any, config: Any) -> None:
    """Write every page, and hold that each exported name is on one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    left = set(FOLDER.iterdir())
    groups = {title: dict(sections) for title, sections in PAGES.items()}
    groups["Rules"] = {title: tuple(cls.__name__ for cls in classes) for title, classes in families()}
    groups["Rules"][next(iter(groups["Rules"]))] += ("SGD",)
    groups["Pieces of a chain"] = _pieces()
    _complete(go, {name for sections in groups.values() for names in sections.values() for name in names})
    for title, sections in groups.items():
        for heading, names in sections.items():
            _write(heading, *(_object(getattr(go, name), f"gpuopt.{name}") for name in names))
        _write(title, *(_table(heading, "gpuopt", names) for heading, names in sections.items()), _contents(sections))
    for name, title in MODULES.items():
        with mock([name] if name in config.autodoc_mock_imports else []):
            _module(getattr(go, name), f"gpuopt.{name}", title)
    for page in left - _written:
        page.unlink()  # an earlier build had it


def _pieces() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, cls in every_piece().items():
        title = about(cls.__module__)
        found[title] = (*found.get(title, ()), name)
    return found


def _complete(module: types.ModuleType, listed: Collection[str]) -> None:
    exported = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
    if exported != set(listed):
        raise ConfigError(f"docs/_ext/reference.py and {module.__name__}.__all__ differ by {exported ^ set(listed)}")


def _module(module: types.ModuleType, path: str, title: str) -> None:
    """Write the page of a module that is found under a path, and one for each module in it."""
    own = [name for name in module.__all__ if callable(getattr(module, name))]
    inner = {name: f"{path.rpartition('.')[2]}.{name}" for name in module.__all__ if inspect.ismodule(getattr(module, name))}
    for name, own_title in inner.items():
        _module(getattr(module, name), f"{path}.{name}", own_title)
    objects = (_object(getattr(module, name), f"{path}.{name}") for name in own)
    _write(
        title,
        f".. automodule:: {module.__name__}\n\n.. py:currentmodule:: None\n",
        _table("", path, own),
        *objects,
        _contents(inner.values()),
    )


def _object(item: Any, path: str) -> str:
    if not item.__doc__ or item.__doc__.startswith(f"{path.rpartition('.')[2]}("):  # a dataclass writes its signature there
        raise ConfigError(f"{path} has no docstring of its own")
    if not (inspect.isclass(item) or inspect.isroutine(item)):  # a kind of hyperparameter
        return f".. py:data:: {path}\n\n   {inspect.getdoc(item)}\n"
    kind = "function" if not inspect.isclass(item) else "exception" if issubclass(item, BaseException) else "class"
    members = METHODS.get(path.rpartition(".")[2])
    if item.__name__ != path.rpartition(".")[2]:
        return f".. py:data:: {path}\n\n   Another name of `{item.__name__}`.\n"
    return f".. auto{kind}:: {path}\n" + ("" if members is None else f"   :members: {members}\n")


def _table(heading: str, path: str, names: Collection[str]) -> str:
    head = f"{heading}\n{'-' * len(heading)}\n\n" if heading else ""
    rows = "".join(f"   ~{path}.{name}\n" for name in names)
    return f"{head}.. autosummary::\n   :nosignatures:\n\n{rows}" if names else ""


def _contents(titles: Collection[str]) -> str:
    return ".. toctree::\n   :hidden:\n\n" + "".join(f"   {_slug(title)}\n" for title in titles) if titles else ""


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _write(title: str, *parts: str) -> None:
    text = f"{title}\n{'=' * len(title)}\n\n" + "\n".join(filter(None, parts))
    page = FOLDER / f"{_slug(title)}.rst"
    _written.add(page)
    if not page.exists() or page.read_text(encoding="utf-8") != text:  # Sphinx reads again what was written
        page.write_text(text, encoding="utf-8")


def _signature(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Show a rule's hyperparameters: autodoc would take the signature of its ``__new__``."""
    if not dataclasses.is_dataclass(item):
        return None
    taken = inspect.signature(item)
    bare = [value.replace(annotation=value.empty) for value in taken.parameters.values()]
    return str(taken.replace(parameters=bare, return_annotation=taken.empty)), ""


def _source(app: Any, module: str, name: str) -> str | None:
    """Where the source of a name is, if what is mocked would hide it."""
    return "gpuopt.torch.optimizer" if module == "gpuopt.torch" else None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", write)
    app.connect("viewcode-follow-imported", _source)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
