"""A rule bound to the memory of tensors, and its state as tensors.

Comes in: tensors by their paths, and one rule for all. Goes out: steps, and a state from which the
same tensors continue at other addresses, in other groups, or from a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

import torch
from gpuopt.arrays import memory
from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.exchange import note_written, shared, tensor_of
from gpuopt.optimizer.gradients import Located
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable
from gpuopt.torch.tensors import (
    address_of,
    arrays_of,
    in_stream,
    layout_of,
    strides_of,
    view_like,
)

__all__ = ["Bound", "Kept"]

Kept = dict[str, Any]
"""The state of a bound rule: ``header``, and ``tensors``, a dict for each tensor."""
_KEPT = 8  # the number of addresses of gradients that are remembered for each tensor
_ORIGIN = ("version", "rule", "outline", "classes", "precision")


class Bound:
    """A rule bound to tensors.

    Attributes
    ----------
    optimizer : gpuopt.Optimizer
        It updates arrays that share the memory of the tensors.
    tensors : list of tensor
    """

    def __init__(
        self, rule: Bindable, tensors: Mapping[str | int, Any], options: Mapping[str, Any]
    ) -> None:
        self.tensors = list(tensors.values())
        self.addresses = list(map(address_of, self.tensors))
        self._strides = list(map(strides_of, self.tensors))
        self._layouts = list(map(layout_of, self.tensors))
        arrays = {path: shared(p, f"params[{path!r}]", write=True) for path, p in tensors.items()}
        self.optimizer: Optimizer[Any] = Optimizer(rule, arrays, **options)
        self._spec = self.optimizer._binding.spec
        self._on_gpu = is_cupy(self._spec.leaves[0])
        self._known = dict[tuple[int, int], Any]()

    @property
    def t(self) -> int:
        """The number of steps that the host has counted."""
        return self.optimizer._binding.t

    @property
    def moved(self) -> bool:
        """Whether a tensor has other memory or other strides than before."""
        return (
            list(map(address_of, self.tensors)) != self.addresses
            or list(map(strides_of, self.tensors)) != self._strides
        )

    def step(self, loss: Any) -> None:
        """Update the tensors by their gradients."""
        grads = [p.grad for p in self.tensors]
        if all(g is None for g in grads):
            return
        reads = self.optimizer._binding.asks
        if reads and loss is None:
            raise ValueError(
                "the rule reads the loss of the step: write opt.step(loss=loss), or give step a "
                "closure that returns it"
            )
        with torch.no_grad(), self._stream():
            self.optimizer.step(self._located(grads), loss if reads else None)
            each = zip(self.tensors, grads, self.optimizer._binding.updated, strict=True)
            note_written([p for p, g, own in each if own and g is not None])

    def _located(self, grads: Sequence[Any]) -> Any:
        """The gradients as arrays, with their addresses if they are laid out as the tensors."""
        if self._on_gpu:
            return self._spec.build(self._views(grads) or arrays_of(grads))
        arrays = arrays_of(grads)
        alike = not any(g is None for g in grads) and [*map(layout_of, grads)] == self._layouts
        return Located(arrays, tuple(map(address_of, grads)) if alike else None)

    def _views(self, grads: Sequence[Any]) -> list[Any] | None:
        """Gradients on a GPU as arrays, if all have the layouts of their tensors.

        PyTorch usually gives the gradients of the next step the same memory. The same array then
        serves again: the optimizer knows it, and DLPack would take some ten microseconds for each.
        """
        try:
            plain = not any(g.is_conj() or g.is_neg() for g in grads)
            if not plain or [*map(layout_of, grads)] != self._layouts:
                return None
        except (AttributeError, RuntimeError):  # one is missing, or sparse
            return None
        places = list(enumerate(map(address_of, grads)))
        if len(self._known) > _KEPT * len(places):
            self._known.clear()
        for index, address in places:
            if (index, address) not in self._known:
                self._known[index, address] = view_like(self._spec.leaves[index], address)
        return [self._known[place] for place in places]

    def _stream(self) -> AbstractContextManager[Any]:
        """A context in which CuPy works in PyTorch's current stream on the tensors' device."""
        if not self._on_gpu:
            return nullcontext()
        stream = torch.cuda.current_stream(self.tensors[0].device)
        return in_stream(self._spec.leaves[0], stream.cuda_stream)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """A context in which the tensors hold the parameters to evaluate with."""
        with torch.no_grad(), self._stream():
            found = self._spec.match(self.optimizer.evaluation(), "evaluation")
            before = [p.detach().clone() for p in self.tensors]
            for p, array in zip(self.tensors, found, strict=True):
                p.copy_(tensor_of(array))
        try:
            yield
        finally:
            with torch.no_grad():
                for p, was in zip(self.tensors, before, strict=True):
                    p.copy_(was)

    def kept(self) -> Kept:
        """A copy of the state."""
        with self._stream():
            saved = self.optimizer.state_dict()
        counts, state = saved.pop("counts"), saved.pop("state")
        tensors: list[dict[str, Any]] = [
            {"step": count} for count in self._spec.match(counts, "counts")
        ]
        for name, tree in state.items():
            for own, array in zip(tensors, self._spec.match(tree, name), strict=True):
                if array is not None:
                    own[name] = tensor_of(array)
        return {"header": saved, "tensors": tensors}

    def shown(self) -> list[dict[str, Any]]:
        """The state of each tensor by name: tensors that share memory, or decoded copies."""
        found: list[dict[str, Any]] = [{} for _ in self.tensors]
        for name, tree in self.optimizer.state.items():
            for own, array in zip(found, self._spec.match(tree, name), strict=True):
                if array is not None:
                    own[name] = tensor_of(array)
        return found

    def go_on(self, kept: Kept) -> None:
        """Continue from a state of the first of these tensors; the others begin.

        Raises
        ------
        TypeError, ValueError
            If the state is of another rule, or does not fit the tensors.
        """
        now = self.optimizer.state_dict()
        header, own = kept["header"], kept["tensors"]
        counts = self._spec.match(now["counts"], "counts")
        counts[: len(own)] = [each["step"] for each in own]
        names = [*now["state"], *(name for each in own for name in each if name != "step")]
        state = {name: self._spec.build(self._joined(name, own)) for name in dict.fromkeys(names)}
        if kept.get("loaded"):
            now |= {name: header[name] for name in (*_ORIGIN, "hyper")}
        if "numbers" in header:
            now["numbers"] = header["numbers"]
        now |= {"t": header["t"], "counts": self._spec.build(counts), "state": state}
        with self._stream():
            self.optimizer.load_state_dict(now)

    def _joined(self, name: str, own: list[dict[str, Any]]) -> list[Any]:
        """The arrays of a state for all tensors: `own` for the first of them, and initial ones.

        A number that arrays share has the value that the first of them have. The sum of an
        average's weights begins at 0.
        """
        found = [shared(each[name], name) if name in each else None for each in own]
        nothing = self._spec.build([None for _ in self.tensors])
        fresh = self._spec.match(self.optimizer._stored.get(name, nothing), name)
        places = zip(fresh, found, strict=False)
        numbers = {memory.address(a): x for a, x in places if a is not None and not a.shape}
        averages = self.optimizer._binding.averages
        for index in range(len(own), len(fresh)):
            if (array := fresh[index]) is not None:
                found.append(numbers.get(memory.address(array), array.copy()))
            else:
                found.append(np.zeros(()) if name in averages[index] else None)
        return found
