"""Imports point one way, and what is public is documented and annotated."""

from __future__ import annotations

import ast
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go
from gpuopt.rules.hooks import HOOKS

PACKAGE = Path(go.__file__).parent
ORDER = (
    (
        "arrays",
        "options dtypes packages backend device typed tree lattices memory identity foreign exchange check dynamic8 precision",
    ),
    ("arrays", "random quiet rows"),
    (
        "rules",
        "hooks ranges tuples words traced written spelling elsewhere declared given_loss formula base whole_arrays rule piece",
    ),
    ("rules", "schedule paths reductions noise"),
    ("rules", "descent adaptive velocities signs accumulating second_moments first_moments rates layerwise step_sizes by_loss"),
    ("rules", "looking_ahead schedule_free distances"),
    ("rules", "slices factored matrices preconditioners"),
    ("rules", "gradient_pieces step_pieces loss_pieces scaling_pieces parameter_pieces"),
    ("rules", "proximal constraint_pieces multipliers group_pieces variation_pieces"),
    ("rules", "composite chains partitions compose catalogue __init__"),
    ("", "schedules"),
    ("conventions", "common torch optax_contrib optax_norms optax keras sklearn __init__"),
    ("tracing", "operands ops errors expr printing keywords complexes calls truth powers ufuncs functions symbols"),
    ("tracing", "keeping kinds weights"),
    (
        "tracing",
        "signatures buffers setting scheduled states rounding own_numbers undoing parts program traffic by_row assemble trace",
    ),
    ("codegen", "order roots digits wide host tile passes pairs schedule numpy numba_intrinsics numba_header numba_texts"),
    ("codegen", "alike numba numba_coding numba_handover numba_objects"),
    (
        "codegen.cuda",
        "tuning parts printer source elementwise table coded reduction scalar_arguments device_values scalars compile rows",
    ),
    ("codegen.cuda", "complete"),
    ("codegen", "source notebook"),
    ("executors", "layout fold scalars rows"),
    ("executors.cpu", "pool scratch coded work packs units kernel tiles numpy runs numba_cache numba_compile"),
    ("executors.cpu", "handover numba_loops numba_objects numba_call numba_kernel numba"),
    ("executors.cuda", "runtime uploads launches rows tables singles launch"),
    ("executors", "__init__"),
    ("optimizer", "gradients guard losses hyperparameters hyper_arrays limits starting results whole_arrays"),
    ("optimizer", "group_steps groups row_counts row_groups agreement beginning evaluation rule_change binding"),
    (
        "optimizer.steps",
        "plain totals dimensions scalar_states staged masks device_memory device_step device counting __init__",
    ),
    (
        "optimizer",
        "processes coding shown_trees saved_format places saved capturing summary attributes moving copies optimizer",
    ),
    ("optimizer", "capture_checks capture __init__"),
    ("training", "arguments history stopping"),
    ("training.checkpoints", "__init__ error plain replacing archive tensors checkpoint checkpointer resuming"),
    ("training", "stored data validation progress epochs fit result given bounds objective descent"),
    ("training.line_search", "flat wolfe prox method lbfgs conjugate proximal"),
    ("training", "search minimize iterate scipy_method differences leaf_check check_gradient"),
    ("plot", "look labels paths surfaces curves images notebooks moving __init__"),
    ("problems", "problem functions learning __init__"),
    ("torch", "groups owners tensors bound binder files optimizer __init__"),
    ("", "option_values"),
    ("bench", "measure by_hand libraries subjects rivals report arguments __init__"),
    ("demo", "network runs picture arguments __init__"),
    ("distributed", "transports agreement nccl carriers buckets shares averaging sharding __init__"),
    ("", "sklearn __init__ cli __main__"),
)
"""Every file of the package in the order in which an update is processed: each may import those before it, and no other."""
PLACES = [f"{wing}.{name}".strip(".") for wing, names in ORDER for name in names.split()]
LEVEL = {place.removesuffix(".__init__"): level for level, place in enumerate(PLACES)}
LAZY = {("rules.base", "optimizer.optimizer"), ("rules.base", "codegen.notebook")}
"""The imports upwards: `Rule.init` makes an Optimizer, and a notebook shows the code of a rule; inside these functions."""
OPTIONAL = {"cupy", "torch", "numba", "ml_dtypes", "matplotlib", "sklearn", "tqdm", "safetensors", "scipy", "threadpoolctl"}
OPTIONAL |= {"mpi4py"}
ONLY_WHERE_ASKED_FOR = {
    "executors.cuda.runtime": {"cupy"},
    "sklearn": {"sklearn"},
    "torch.groups": {"torch"},
    "torch.tensors": {"torch"},
    "torch.bound": {"torch"},
    "torch.binder": {"torch"},
    "torch.optimizer": {"torch"},
}
"""Modules that are themselves imported only where that library is wanted."""


def modules() -> dict[str, ast.Module]:
    """The text of every module by its name within the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.AST, inside: bool = False, typing_only: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """What a module imports: (full name, whether inside a function, whether for type checkers alone)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            assert node.module is not None
            yield from ((target(node.module, alias.name), inside, typing_only) for alias in node.names)
        else:
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            yield from imports(node, inside or function, typing_only or checking)


def target(module: str, name: str) -> str:
    """``from gpuopt import trace`` is of the module; ``from gpuopt.tracing.trace import trace`` is of the module before it."""
    return f"{module}.{name}" if f"{module}.{name}".removeprefix("gpuopt.") in MODULES else module


def part(name: str) -> str:
    return name.removeprefix("gpuopt").removeprefix(".").partition(".")[0] or "__init__"


def test_every_file_has_a_place() -> None:
    empty = {name for name in MODULES if not any(True for _ in imports(MODULES[name]))} - LEVEL.keys()
    assert MODULES.keys() - empty == LEVEL.keys()
    assert len(list(PACKAGE.glob("*.py"))) <= 6


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    for imported, inside, typing_only in imports(MODULES[name]):
        found = imported.removeprefix("gpuopt").removeprefix(".") or "__init__"
        if imported.partition(".")[0] != "gpuopt" or typing_only or (inside and (name, found) in LAZY):
            continue
        assert LEVEL[found] < LEVEL[name], f"{name} imports {found}, which does not come before it in ORDER"


def test_the_imports_upwards_are_there_and_lazy() -> None:
    found = {(name, i.removeprefix("gpuopt.")) for name in MODULES for i, inside, t in imports(MODULES[name]) if inside}
    assert found >= LAZY


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) == "rules"])
def test_rules_import_numpy_only(name: str) -> None:
    outside = {i.partition(".")[0] for i, _, typing_only in imports(MODULES[name]) if not typing_only}
    assert outside - set(sys.stdlib_module_names) - {"gpuopt"} <= {"numpy"}
    ours = {i for i, inside, typing_only in imports(MODULES[name]) if i.startswith("gpuopt") and not inside and not typing_only}
    assert all(part(i) == "rules" or i in ("gpuopt.arrays.random", "gpuopt.arrays.options") for i in ours)


@pytest.mark.parametrize("name", ["arrays.packages", "arrays.dtypes", "tracing.operands", "tracing.ops", "arrays.tree"])
def test_the_lowest_import_nothing_of_the_package(name: str) -> None:
    assert not [i for i, _, _ in imports(MODULES[name]) if i.startswith("gpuopt")]


@pytest.mark.parametrize("name", MODULES)
def test_what_is_optional_is_imported_where_it_is_used(name: str) -> None:
    outside = {i.partition(".")[0] for i, inside, typing_only in imports(MODULES[name]) if not inside and not typing_only}
    allowed = {"numpy", "gpuopt", "__future__"} | set(sys.stdlib_module_names) | ONLY_WHERE_ASKED_FOR.get(name, set())
    assert outside <= allowed
    inner = {i.partition(".")[0] for i, _, typing_only in imports(MODULES[name]) if not typing_only}
    assert inner <= allowed | OPTIONAL
    checked = {i.partition(".")[0] for i, _, typing_only in imports(MODULES[name]) if typing_only}
    assert checked <= allowed | OPTIONAL | {"typing_extensions"}  # which type checkers bring along


def test_there_are_no_cycles() -> None:
    """Between modules, as they are loaded: what is imported inside a function comes later."""
    below = {
        name: {
            i.removeprefix("gpuopt").removeprefix(".") or "__init__"
            for i, inside, t in imports(tree)
            if i.partition(".")[0] == "gpuopt" and not inside and not t
        }
        for name, tree in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"cycle: {' -> '.join((*above, name))}"
        if name not in done:
            for imported in sorted(below[name] & MODULES.keys()):
                visit(imported, (*above, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())
    assert done == set(MODULES)


def test_all_is_what_is_public() -> None:
    names = {n for n, v in vars(go).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)}
    assert sorted(go.__all__) == sorted(names | {"schedules"})


def bound(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module's own statements bind."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            yield from (ast.unparse(t) for t in (node.targets if isinstance(node, ast.Assign) else [node.target]))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.If):
            yield from bound(node.orelse or node.body)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for_and_exports_what_it_has(name: str) -> None:
    assert ast.get_docstring(MODULES[name])
    lists = [n.value for n in MODULES[name].body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    exported = [item for value in lists for item in ast.literal_eval(value)]
    assert len(set(exported)) == len(exported)
    assert set(exported) <= set(bound(MODULES[name].body))


PUBLIC = {
    name: item
    for module in (go, go.schedules)
    for name in module.__all__
    if not inspect.ismodule(item := getattr(module, name))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    item = PUBLIC[name]
    own = inspect.getdoc(item)
    assert own
    assert inspect.isclass(item) or own != inspect.getdoc(type(item)), f"{name} needs a docstring of its own"
    assert len(own.split()) >= 4
    for method, function in methods(item):
        documented = function.__doc__ or any(getattr(base, method, None).__doc__ for base in item.__mro__[1:-1])
        assert documented or method in {"update", *HOOKS}, f"{name}.{method}"


def methods(item: Any) -> list[tuple[str, Any]]:
    """The public functions and properties of a class, its own and those that it has from classes of the package."""
    classes = [base for base in reversed(item.__mro__) if base.__module__.startswith("gpuopt")] if inspect.isclass(item) else []
    found = {name: value for base in classes for name, value in vars(base).items() if not name.startswith("_")}
    named = [(n, v.fget if isinstance(v, property) else v) for n, v in found.items()]
    return [(n, v) for n, v in named if inspect.isfunction(v)]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_is_annotated(name: str) -> None:
    item = PUBLIC[name]
    functions: list[tuple[str, Any]] = [("", item)] if inspect.isfunction(item) else methods(item)
    if inspect.isclass(item) and "__init__" in vars(item):
        functions.append(("__init__", item.__init__))
    assert functions or inspect.isclass(item) or typing.get_origin(item) is typing.Annotated
    for method, function in functions:
        signature = inspect.signature(function)
        bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name != "self"]
        assert not bare, f"{name}.{method}: {bare}"
        generated = function.__module__ not in sys.modules or "__create_fn__" in function.__qualname__
        assert generated or signature.return_annotation is not signature.empty, f"{name}.{method} -> ?"
