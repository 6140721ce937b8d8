"""Any identifier of Python may be the name of a state, a hyperparameter, a number, a rule or a piece, on every executor."""

from __future__ import annotations

import keyword
import unicodedata
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.cuda.printer import identifier
from gpuopt.rules.declared import reserved_names
from gpuopt.tracing.ops import OPS
from tests.support.executors import only, running_on
from tests.support.variants import bits

WORDS = """
alignas and_eq asm auto bool break case catch char char8_t class compl concept const constexpr const_cast decltype default
delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable
namespace new noexcept nullptr operator private protected public register reinterpret_cast requires restrict return short
signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid
typename union unsigned using virtual void volatile wchar_t xor NULL EOF NAN INFINITY M_PI assert std complex size_t
ptrdiff_t int32 uint8 float16 bfloat16 half thrust CArray CIndexer _ind i j n
threadIdx blockIdx blockDim gridDim warpSize dim3 float2 __global__ __shared__ __device__ __restrict__
p g t m p_io g_in p_old m_old m_new m_old_re z_re k_in k_in_ c0 x3 h0 k0 a0 w0 b0 o0 r0 n0 t0 total_0 total_0_of lr_h hyper_lr
uniform_0 row rows leaf lane lanes lane_stride tickets chunk size number fold room first stop end whole at at_chunk
elements width bytes item gradients g_at array_number counts active own arrays hyper given steps accepted
zero one large infinity math numba types ir intrinsic loop pack fill start addresses ends out scratch copyto update
evaluate totals raised again ReductionKey scale modulus direction quotient extreme largest smallest signum uniform mixed
print len float64 ndarray np self_ cls lambda_ None_ ___ _ _x x_ X master
"""
UNICODE = ["β", "µ", "μ", "α1", "é", "Ω", "变量", "π_", "u3b2", "ϵ", "ε", "ñandú", "ﬁ"]
NAMES = list(dict.fromkeys(unicodedata.normalize("NFKC", name) for name in [*WORDS.split(), *OPS, *UNICODE]))
NAMES = [name for name in NAMES if name.isidentifier() and not keyword.iskeyword(name)]
HYPER = [name for name in NAMES if name not in reserved_names() and name not in ("_", "lr")]
STATES = [name for name in NAMES if name not in ("t", "p", "g", "master")]
TEXT = """
class {rule}(go.Rule):
    lr: go.NonNegative = 0.1
{hyper}
    def update(self, t, p, g, {states}):
        return p - self.lr * g * ({used}), {new}
"""
PIECE = """
class {name}(go.ParameterPiece):
    {hyper}: go.NonNegative = 0.5
    def numbers(self):
        return {{{number!r}: 1.0}}
    def update(self, t, p, new, {state}=0.25):
        return new - self.{hyper} * {state} * self.{number}, {state} + np.max(p)
    def adapt(self, p, new, accepted):
        return (self.{number} + go.tree_max(new),)
"""


def rule(name: str, hyper: list[str], states: list[str]) -> Any:
    """A rule in which every name counts, and each by another amount."""
    parts = {
        "rule": name,
        "hyper": "\n".join(f"    {name}: go.Hyper = {number / 8}" for number, name in enumerate(hyper, 1)),
        "states": ", ".join(f"{name}={number / 4}" for number, name in enumerate(states, 1)),
        "used": " + ".join(
            [f"self.{name}" for name in hyper] + [f"{number} * {name}" for number, name in enumerate(states, 3)]
        ),
        "new": ", ".join(f"{name} + {number} * g" for number, name in enumerate(states, 1)),
    }
    return _made(TEXT.format(**parts), name)


def _made(text: str, name: str) -> Any:
    scope: dict[str, Any] = {"go": go, "np": np, "__name__": __name__}
    exec(text, scope)
    return scope[name]


def after(made: Any, states: list[str], dtype: str, hyper: dict[str, Any], xp: Any) -> list[Any]:
    """The bits of p and all states after two steps."""
    x = xp.array(np.linspace(-1, 2, 7).astype(dtype))
    opt = made.init(x, {name: xp.asarray(array) for name, array in hyper.items()})
    for number in (1, 2):
        opt.step(xp.asarray(np.linspace(0.5, 3, 7).astype(dtype) * number))
    return [bits(x), *(bits(opt.state[name]) for name in states)]


def groups(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


def test_states_and_hyperparameters(executor: str, xp: Any) -> None:
    """Many at once; every tenth hyperparameter is an array. Other executors than CuPy's see no names."""
    for group in groups(NAMES, 40) if executor == "cupy" else [NAMES[::16]]:
        states, hyper = [n for n in group if n in STATES], [n for n in group if n in HYPER]
        plain = [f"plain{number}" for number in range(len(states))]
        arrays = {name: np.linspace(0.1, 0.2, 7, dtype="float32") for name in hyper[::10]}
        found = after(rule(group[-1], hyper, states)(), states, "float32", arrays, xp)
        with running_on("numpy"):
            renamed = [f"usual{number}" for number in range(len(hyper))]
            again = dict(zip(renamed[::10], arrays.values(), strict=True))
            wanted = after(rule("Usual", renamed, plain)(), plain, "float32", again, np)
        for name, one, other in zip(["p", *states], found, wanted, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


@only("numpy", "cupy")
@pytest.mark.parametrize("name", ["float", "int", "asm", "lambda_", "restrict", "β", "size", "row", "chunk", "accepted"])
def test_classes_and_numbers(executor: str, xp: Any, name: str) -> None:
    """A chain whose rule, piece, states, hyperparameters and numbers have the same name."""
    piece = _made(PIECE.format(name=name, hyper=name, state=name, number=f"{name}_"), name)
    made = rule(name, [name], [name])
    found = []
    for place, module in {executor: xp, "numpy": np}.items():
        with running_on(place):
            x = module.asarray(np.linspace(-1, 2, 7))
            opt = go.chain(made(), piece()).init(x)
            for _ in range(2):
                opt.step(module.ones(7))
            found.append([bits(x), *map(bits, opt.state.values()), *map(bits, opt.numbers.values())])
    for one, other in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_an_identifier_of_cplusplus_is_made_of_any_name() -> None:
    for name in [*NAMES, "Made[int]", "a b", "a.b", "<locals>"]:
        assert identifier(name).isascii()
        assert f"x{identifier(name)}".isidentifier()
