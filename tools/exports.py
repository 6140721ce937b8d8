"""Write the names that `gpuopt` exports where type checkers look for them: in its ``__init__`` and that of its rules.

A rule or a piece is named once, in ``__all__`` of its file. mypy follows neither ``__all__ += module.__all__`` nor a star
import through it, so both ``__init__`` files spell every name out. They are written from those lists:

    python tools/exports.py            # after a name was added to, or taken from, ``__all__`` of a file in gpuopt/rules
    python tools/exports.py --check    # changes nothing; exit code 1 if something is to be done
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gpuopt"
BARE, QUOTED = "    {},", '    "{}",'
COLUMNS = 100
RULES, TOP = PACKAGE / "rules" / "__init__.py", PACKAGE / "__init__.py"


def wanted() -> dict[Path, str]:
    """What the two files should hold."""
    rules = RULES.read_text(encoding="utf-8")
    families = [node for node in _imports(rules) if str(node.module).startswith("gpuopt.rules.")]
    names = {family: _exported(PACKAGE.parent / f"{str(family.module).replace('.', '/')}.py") for family in families}
    public = [name for own in names.values() for name in own]
    for family in reversed(families):
        rules = _replaced(rules, family, _import(str(family.module), names[family]))
    top = TOP.read_text(encoding="utf-8")
    (of_rules,) = (node for node in _imports(top) if node.module == "gpuopt.rules")
    top = _replaced(top, of_rules, _import("gpuopt.rules", public))
    bound = [alias.asname or alias.name for node in _imports(top) for alias in node.names]
    return {RULES: _listed(rules, public), TOP: _listed(top, bound)}


def _imports(text: str) -> list[ast.ImportFrom]:
    return [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]


def _list_of(text: str) -> ast.Assign:
    """The statement ``__all__ = [...]``."""
    found = (node for node in ast.parse(text).body if isinstance(node, ast.Assign))
    return next(node for node in found if ast.unparse(node.targets[0]) == "__all__")


def _exported(path: Path) -> list[str]:
    return list(ast.literal_eval(_list_of(path.read_text(encoding="utf-8")).value))


def _import(module: str, names: Iterable[str]) -> str:
    # ruff sorts what is imported without regard to case, and ``__all__`` with it
    ordered = sorted(sorted(sorted(names), key=str.lower), key=_kind)
    line = f"from {module} import {', '.join(ordered)}"
    return line if len(line) <= COLUMNS else f"from {module} import (\n{_lines(ordered, BARE)})"


def _listed(text: str, names: Iterable[str]) -> str:
    return _replaced(text, _list_of(text), f"__all__ = [\n{_lines(sorted(names), QUOTED)}]")


def _lines(names: Iterable[str], form: str) -> str:
    return "".join(f"{form.format(name)}\n" for name in sorted(names, key=_kind))


def _kind(name: str) -> int:
    """Constants come first for ruff, then classes, then functions."""
    return 0 if len(name) > 1 and name.isupper() else 1 if name[0].isupper() else 2


def _replaced(text: str, node: ast.stmt, new: str) -> str:
    lines = text.splitlines(keepends=True)
    lines[node.lineno - 1 : node.end_lineno] = [new + "\n"]
    return "".join(lines)


def main() -> int:
    """Write the files, or say which are not as they should be."""
    stale = {path: text for path, text in wanted().items() if path.read_text(encoding="utf-8") != text}
    if "--check" not in sys.argv[1:]:
        for path, text in stale.items():
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(path.relative_to(PACKAGE.parent))
    return int("--check" in sys.argv[1:] and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
