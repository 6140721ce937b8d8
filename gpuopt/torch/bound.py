"""A rule bound to the memory of tensors, and what it keeps for them as tensors.

Comes in: groups of parameters, and a rule for all. Goes out: steps, and a state that goes on with
the same tensors elsewhere, in other groups, or out of a file.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

import torch
from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.device import device_of
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.memory import bounds
from gpuopt.optimizer.gradients import Located
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable

__all__ = ["Bound", "Kept"]

Kept = dict[str, Any]
"""What a bound rule keeps: ``header``, and for each tensor a dict, ``tensors``."""
_ADDRESS = operator.methodcaller("data_ptr")
_KEPT = 8  # for each tensor so many places of gradients are known at most
_ORIGIN = ("version", "rule", "outline", "classes", "precision")


class Bound:
    """A rule bound to the tensors of groups.

    Attributes
    ----------
    optimizer : gpuopt.Optimizer
        Of arrays with the tensors' memory.
    tensors : list of tensor
    """

    def __init__(
        self, rule: Bindable, groups: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> None:
        trees = [_tree(group) for group in groups]
        self.tensors = [p for group in groups for p in group["params"]]
        self.addresses = list(map(_ADDRESS, self.tensors))
        self._likeness = list(map(_likeness, self.tensors))
        tree = trees[0] if len(trees) == 1 else trees
        self.optimizer: Optimizer[Any] = Optimizer(rule, tree, **options)
        self._spec = self.optimizer._binding.spec
        self._on_gpu = is_cupy(self._spec.leaves[0])
        self._known = dict[tuple[int, int], Any]()

    @property
    def t(self) -> int:
        """The number of steps, as far as the host counts them."""
        return self.optimizer._binding.t

    @property
    def moved(self) -> bool:
        """Whether a tensor has other memory than it had."""
        return list(map(_ADDRESS, self.tensors)) != self.addresses

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
            torch.autograd.graph.increment_version(
                [p for p, g in zip(self.tensors, grads, strict=True) if g is not None]
            )

    def _located(self, grads: Sequence[Any]) -> Any:
        """The gradients as arrays, with their addresses if these say all of where they are."""
        if self._on_gpu:
            return self._spec.build(self._views(grads) or _arrays(grads))
        arrays = _arrays(grads)
        alike = not any(g is None for g in grads) and [*map(_likeness, grads)] == self._likeness
        return Located(arrays, tuple(map(_ADDRESS, grads)) if alike else None)

    def _views(self, grads: Sequence[Any]) -> list[Any] | None:
        """Gradients on a GPU as arrays, if all are like their tensors, known by their addresses.

        PyTorch gives the gradients of the next step the same memory as a rule. An array that comes
        again is known to the optimizer, and DLPack takes some ten microseconds for one.
        """
        try:
            plain = not any(g.is_conj() or g.is_neg() for g in grads)
            if not plain or [*map(_likeness, grads)] != self._likeness:
                return None
        except (AttributeError, RuntimeError):  # one is missing, or sparse
            return None
        places = list(enumerate(map(_ADDRESS, grads)))
        if len(self._known) > _KEPT * len(places):
            self._known.clear()
        for index, address in places:
            if (index, address) not in self._known:
                self._known[index, address] = view_like(self._spec.leaves[index], address)
        return [self._known[place] for place in places]

    def _stream(self) -> AbstractContextManager[Any]:
        """The stream in which PyTorch works on the tensors' device, as CuPy's current one."""
        if not self._on_gpu:
            return nullcontext()
        stream = torch.cuda.current_stream(self.tensors[0].device)
        return in_stream(self._spec.leaves[0], stream.cuda_stream)

    def kept(self) -> Kept:
        """What it keeps for the tensors, copied."""
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
        """The state of each tensor by name: tensors with the memory of the arrays."""
        found: list[dict[str, Any]] = [{} for _ in self.tensors]
        for name, tree in self.optimizer.state.items():
            for own, array in zip(found, self._spec.match(tree, name), strict=True):
                if array is not None:
                    own[name] = tensor_of(array)
        return found

    def go_on(self, kept: Kept) -> None:
        """Go on with what was kept for the first of these tensors; others begin anew.

        Raises
        ------
        TypeError, ValueError
            If it is of another rule, or does not fit the tensors.
        """
        now = self.optimizer.state_dict()
        header, own = kept["header"], kept["tensors"]
        counts = self._spec.match(now["counts"], "counts")
        counts[: len(own)] = [each["step"] for each in own]
        state, nothing = {}, self._spec.build([None for _ in self.tensors])
        names = [*now["state"], *(name for each in own for name in each if name != "step")]
        for name in dict.fromkeys(names):
            fresh = now["state"].get(name, nothing)
            arrays = self._spec.match(fresh, name)
            arrays[: len(own)] = [
                shared(each[name], name) if name in each else None for each in own
            ]
            state[name] = self._spec.build(arrays)
        if kept.get("loaded"):
            now |= {name: header[name] for name in _ORIGIN}
        if header["hyper"].keys() == now["hyper"].keys():  # not in groups that were added
            now["hyper"] = header["hyper"]
        if "numbers" in header:
            now["numbers"] = header["numbers"]
        now |= {"t": header["t"], "counts": self._spec.build(counts), "state": state}
        with self._stream():
            self.optimizer.load_state_dict(now)


def _likeness(tensor: Any) -> Any:
    return tensor.stride(), tensor.dtype, tensor.shape


def _tree(group: Mapping[str, Any]) -> Any:
    """The tensors of a group as arrays, by their names where they have some."""
    names = group.get("param_names")
    if names is None:
        return [shared(p, f"params[{k}]", write=True) for k, p in enumerate(group["params"])]
    paths = [name.replace(".", "/") for name in names]
    tensors = zip(paths, group["params"], strict=True)
    return {path: shared(p, f"params[{path!r}]", write=True) for path, p in tensors}


def _arrays(grads: Sequence[Any]) -> list[Any]:
    """The gradients as arrays with the same memory."""
    try:
        return [None if g is None else g.numpy() for g in grads]  # the usual case
    except (TypeError, RuntimeError):  # on a GPU, of bfloat16, sparse …
        for index, g in enumerate(grads):
            if g is not None and g.layout is not torch.strided:
                raise RuntimeError(
                    f"the gradient of parameter {index} is sparse, and rules take dense ones: make "
                    "the layer with sparse=False"
                ) from None
        return [None if g is None else shared(g, f"grads[{k}]") for k, g in enumerate(grads)]


class Shared(NamedTuple):
    """A stream of another library, by CUDA's protocol for them."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address


@contextmanager
def in_stream(array: Any, address: int) -> Iterator[None]:
    """Work on the device of an array of CuPy in that stream."""
    import cupy

    with device_of(array), cupy.cuda.Stream.from_external(Shared(address)):
        yield


def view_like(array: Any, address: int) -> Any:
    """An array of CuPy like another one, whose memory at that address somebody else holds."""
    import cupy

    size = bounds(array)[1] - bounds(array)[0]
    memory = cupy.cuda.UnownedMemory(address, size, None, device_id=array.device.id)
    place = cupy.cuda.MemoryPointer(memory, 0)
    return cupy.ndarray(array.shape, array.dtype, place, array.strides)


def tensor_of(array: Any) -> Any:
    """A tensor with the memory of an array."""
    if array.dtype.name == "bfloat16":
        return tensor_of(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_dlpack(array) if is_cupy(array) else torch.from_numpy(array)
