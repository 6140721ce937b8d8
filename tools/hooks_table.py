"""Write the table of hooks into the documentation: it is made from `gpuopt.rules.hooks.HOOKS`.

python tools/hooks_table.py
"""

from __future__ import annotations

from pathlib import Path

from gpuopt.rules.hooks import HOOKS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "your-own-rule.md"
BEGIN, END = "<!-- hooks: made by tools/hooks_table.py -->\n", "<!-- end of hooks -->\n"
OWNERS = {
    "Rule": "rule",
    "GradientPiece": "gradient piece",
    "StepPiece": "step piece",
    "ParameterPiece": "parameter piece",
}


def table() -> str:
    """The table in Markdown: a hook a row."""
    rows = [("hook", "who may have it", "gets", "returns", "called")]
    rows += [("---",) * len(rows[0])]
    for name, hook in HOOKS.items():
        owners = ", ".join(OWNERS[owner] for owner in hook.owners)
        who = "every rule and piece" if len(hook.owners) == len(OWNERS) else owners
        rows.append((f"`{hook.signature(name)}`", who, hook.gets, hook.returns, hook.called))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def written(page: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
