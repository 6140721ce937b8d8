"""From a `Kernel` to one Python function of NumPy calls that write into given arrays.

The function updates its arrays in place: an operation writes where its result belongs as soon as the old value there is
no longer needed, and into scratch until then. Nothing is allocated when it runs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.codegen.tile import TileCode, changes, constants, places
from gpuopt.tracing.expr import Expr, format_expr
from gpuopt.tracing.operands import GRAD, PARAM, Operand
from gpuopt.tracing.ops import OPS
from gpuopt.tracing.program import Kernel

__all__ = ["tile_code"]


@functools.lru_cache(maxsize=512)
def tile_code(kernel: Kernel) -> TileCode:
    """Generate the function that runs `kernel` on one tile."""
    return _Writer(kernel).result()


class _Writer:
    """Chooses a place for every value (`where`), and writes the calls (`lines`)."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.lines = kernel, list[str]()
        self.names = {place.operand: f"a{number}" for number, place in enumerate(places(kernel))}
        self.targets = changes(kernel)
        # A new value that is some array's old one is copied first, before that array may change.
        moved = [Expr(-1 - k, "copy", (e,)) for k, e in enumerate(dict.fromkeys(self.targets.values())) if e.op == "input"]
        self.targets |= {c: m for m in moved for c, e in self.targets.items() if e is m.args[0]}
        self.ops = [*moved, *kernel.ops]
        self.last = {arg: step for step, op in enumerate(self.ops) for arg in op.args}
        self.last |= dict.fromkeys(self.targets.values(), len(self.ops))
        self.where: dict[Expr, str] = {}
        self.busy: dict[str, Expr] = {}
        self.counts = {"w": 0, "b": 0}

    def result(self) -> TileCode:
        host, fixed = self.kernel.scalars, constants(self.kernel)
        for number, expr in enumerate([*host, *fixed]):
            self.where[expr] = f"k{number}"
        for step, op in enumerate(self.ops):
            self._write(step, op)
        for component, expr in self.targets.items():
            if self.where[expr] != self.names[component]:
                self.lines.append(f"copyto({self.names[component]}, {self.where[expr]})")
        arguments = [*self.names.values(), *(f"{kind}{i}" for kind, n in self.counts.items() for i in range(n))]
        arguments += [f"k{number}" for number in range(len(host) + len(fixed))]
        comments = [f"    # {name} is {component}" for component, name in self.names.items()]
        comments += [f"    # {self.where[e]} = {format_expr(e)}" for e in host]
        body = [f"    {line}" for line in self.lines or ["pass"]]
        source = "\n".join([f"def update({', '.join(arguments)}):  # {self.kernel.name}", *comments, *body, ""])
        scope: dict[str, Any] = {name: getattr(np, name) for name, op in OPS.items() if op.numpy} | {"copyto": np.copyto}
        scope["stochastic_bfloat16"] = _stochastic_bfloat16
        exec(source, scope)  # the text is made here from a fixed set of calls
        return TileCode(scope["update"], places(self.kernel), self.counts["w"], self.counts["b"], fixed, source)

    def _write(self, step: int, op: Expr) -> None:
        operands = [self._location(arg) for arg in op.args]
        out = self._choose(step, op)
        for arg in op.args:  # what dies here may give its place to later values
            if self.last[arg] == step and self.busy.get(self.where.get(arg, "")) is arg:
                del self.busy[self.where[arg]]
        self.busy[out] = op
        self.where[op] = out
        if op.op == "where":
            mask, a, b = operands
            self.lines += [f"copyto({out}, {b})"] if out != b else []
            self.lines.append(f"copyto({out}, {a}, where={mask})")
        elif op.op == "choose":
            self.lines.append(f"copyto({out}, {operands[1]} if {operands[0]} else {operands[2]})")
        elif op.op == "stochastic_bfloat16":
            self.lines.append(f"stochastic_bfloat16({', '.join([*operands, out, self._scratch('b', set())])})")
        elif op.op == "copy":
            self.lines.append(f"copyto({out}, {operands[0]})")
        else:
            self.lines.append(OPS[op.op].numpy.format(*operands, out=out))

    def _location(self, expr: Expr) -> str:
        return self.names[expr.value] if expr.op == "input" else self.where[expr]

    def _choose(self, step: int, op: Expr) -> str:
        """Where the result goes: its own place, the place of a value that dies here, or scratch."""
        late = op.args if op.op == "stochastic_bfloat16" else ()  # what is read after the result was begun
        if op.op == "where" and op.args[1] is not op.args[2]:
            late = op.args[1:2]
        barred = {self._location(arg) for arg in late}
        if any(arg.op == "input" and arg.value == GRAD for arg in late):  # which may be the parameter itself
            barred.add(self.names.get(PARAM, ""))
        if op.boolean:
            return self._scratch("b", barred)
        for component in [c for c, e in self.targets.items() if e is op]:
            name = self.names[component]
            if self._over(component, step) and self._free(name, step) and name not in barred:
                return name
        if self.last[op] < len(self.ops):  # a temporary value may lie in any array whose old value is over
            for arg in op.args:
                name = "" if arg.host or arg.boolean else self._location(arg)
                inside = [component for component, own in self.names.items() if own == name]
                writable = all(component in self.targets and self._over(component, step) for component in inside)
                if name and writable and self._free(name, step) and name not in barred:
                    return name
        return self._scratch("w", barred)

    def _free(self, name: str, step: int) -> bool:
        """Whether no value lies there that is needed after this step."""
        held = self.busy.get(name)
        return held is None or self.last[held] == step

    def _over(self, component: Operand, step: int) -> bool:
        """Whether the old value is needed no more; the gradient may be the parameter itself, so p waits for both."""
        arrays = (PARAM, GRAD) if component == PARAM else (component,)
        return not any(e.op == "input" and e.value in arrays and last > step for e, last in self.last.items())

    def _scratch(self, kind: str, barred: set[str]) -> str:
        for number in range(self.counts[kind]):
            if (name := f"{kind}{number}") not in self.busy and name not in barred:
                return name
        self.counts[kind] += 1
        return f"{kind}{self.counts[kind] - 1}"


def _stochastic_bfloat16(x: Any, u: Any, out: Any, mask: Any) -> None:
    """Add 16 random bits to those that a bfloat16 has no room for, which are then cut; NaN stays."""
    whole = out.view(np.uint32)
    np.multiply(u, out.dtype.type(65536), out=out)
    np.copyto(whole, out, casting="unsafe")
    np.add(whole, x.view(np.uint32), out=whole)
    np.bitwise_and(whole, np.uint32(0xFFFF0000), out=whole)
    np.not_equal(x, x, out=mask)
    np.copyto(out, x, where=mask)
