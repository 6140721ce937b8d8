"""Write the table of rules into docs/choosing-a-rule.md: it is made from the classes, and bytes from their programs.

python tools/rules_table.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gpuopt.rules import Rule, rules, whole_array_rules
from gpuopt.tracing.trace import trace
from gpuopt.tracing.traffic import bytes_an_element

PAGE = Path(__file__).resolve().parent.parent / "docs" / "choosing-a-rule.md"
BEGIN, END = "<!-- rules: made by tools/rules_table.py -->\n", "<!-- end of rules -->\n"


def about(module: str) -> str:
    """What a file of rules or pieces is about, by its first line."""
    text = ast.get_docstring(ast.parse(Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).partition(":")[0].rstrip(".")


def families() -> Iterator[tuple[str, list[type[Rule]]]]:
    """What each file of rules is about, and its rules."""
    found: dict[str, list[type[Rule]]] = {}
    for cls in (*rules().values(), *whole_array_rules().values()):
        found.setdefault(cls.__module__, []).append(cls)
    for module, classes in found.items():
        yield about(module), classes


def row(cls: type[Rule]) -> str:
    """The rule, its defaults, its bytes, and its state."""
    rule, program = cls(), trace(cls())
    _, _, defaults = repr(rule)[:-1].partition("(")
    total, reduced = bytes_an_element(program)
    count = f"{total}, {reduced} to reduce" if reduced else f"{total}"
    if cls.__name__ in whole_array_rules():
        return f"| `{cls.__name__}` | {defaults} | {total}, and functions of whole arrays | {_of_a_matrix(rule)} |\n"
    numbers = [key.name for key in program.update.scalar_states if key.name.isidentifier()]
    arrays = ", ".join(f"`{each.name}`" for each in program.states)
    several = f"number{'s' if len(numbers) > 1 else ''} {', '.join(f'`{name}`' for name in numbers)}" if numbers else ""
    state = "; ".join(filter(None, (arrays, several))) or "–"
    return f"| `{cls.__name__}` | {defaults} | {count} | {state} |\n"


def _of_a_matrix(rule: Rule) -> str:
    """What it keeps for a matrix of 6 x 4, with the shape of what is none like it."""
    arrays = rule.init(np.ones((6, 4), np.float32)).state
    return ", ".join(
        f"`{name}`" + (f" {'x'.join(map(str, a.shape))}" if a.shape != (6, 4) else "") for name, a in arrays.items()
    )


def table() -> str:
    """A table in Markdown for each family."""
    head = "| rule | defaults | bytes an element | state |\n| --- | --- | --- | --- |\n"
    return "\n".join(f"**{about}**\n\n{head}{''.join(map(row, classes))}" for about, classes in families())


def written(page: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
