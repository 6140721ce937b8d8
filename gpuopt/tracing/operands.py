"""The arrays that kernels read and write, and the components of complex ones, by name."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["GRAD", "PARAM", "Operand", "hyper_array", "result", "state"]


class Operand(NamedTuple):
    """An array that a kernel reads or writes, or one real component of a complex array.

    It is a tuple because executors look arrays up by it for every tile.

    Attributes
    ----------
    kind : str
        ``"hyper"`` is an array in place of a hyperparameter, ``"random"`` one of random numbers,
        ``"result"`` the values that a reduction takes, ``"made"`` what a function of whole arrays
        gave.
    name : str
        The name of a state, the full name of a hyperparameter, or a number; with ``"param"`` it is
        p, with ``"grad"`` g.
    component : str
        The real or imaginary part of a complex array, or empty.
    """

    kind: Literal["param", "grad", "state", "hyper", "random", "result", "made"]
    name: str
    component: Literal["", "re", "im"] = ""

    @property
    def array(self) -> Operand:
        """The whole array."""
        return self._replace(component="")

    def components(self, is_complex: bool) -> tuple[Operand, ...]:
        """The real components of the array."""
        return (
            (self._replace(component="re"), self._replace(component="im"))
            if is_complex
            else (self,)
        )

    def __str__(self) -> str:
        """A name for readers."""
        name = f"{self.kind} {self.name}" if self.kind in ("random", "result") else self.name
        return f"{name}.{self.component}" if self.component else name


PARAM = Operand("param", "p")
GRAD = Operand("grad", "g")


def state(name: str) -> Operand:
    """The state of that name."""
    return Operand("state", name)


def hyper_array(name: str) -> Operand:
    """The array in place of the hyperparameter of that full name."""
    return Operand("hyper", name)


def result(number: int) -> Operand:
    """The values that the reduction of that number in a kernel takes."""
    return Operand("result", str(number))
