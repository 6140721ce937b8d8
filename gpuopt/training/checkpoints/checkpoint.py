"""Save an optimizer with its parameters, and continue from the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.exchange import parameter
from gpuopt.arrays.tree import TreeSpec, leaves
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.optimizer.places import fits, like, told
from gpuopt.rules.written import is_written
from gpuopt.training.checkpoints.error import CheckpointError
from gpuopt.training.checkpoints.plain import as_read
from gpuopt.training.history import History

__all__ = ["applied", "check_optimizer", "contents", "load", "of_process", "save"]


def save(
    path: str | os.PathLike[str],
    opt: Optimizer,
    *,
    history: History | None = None,
    extra: Any = None,
) -> None:
    """Save an optimizer and its parameters in one file, from which `load` continues bit for bit.

    The file is complete or absent. It is written next to `path`, flushed to the disk, and then
    replaces the file at `path`. The next call deletes what a killed call has left.

    If the optimizer belongs to several processes, all call this, and the first one writes the file.
    An error in one is a RuntimeError in all.

    Parameters
    ----------
    path : str or path
        The file. ``numpy.load`` opens it, so let its name end in ``.npz``. A name that ends in
        ``.safetensors`` gives that format, which needs safetensors.
    opt : Optimizer
        The file holds its parameters, state, counts and numbers, and its arrays for
        hyperparameters.
    history : History, optional
        The record of `fit`, saved too.
    extra : optional
        Anything else to save: numbers, texts, None, arrays, and lists, tuples and dicts of them.
        For a random generator, save its ``bit_generator.state``. Each of several processes gets
        back its own.

    Raises
    ------
    OSError
        If the file cannot be written, for example on a full disk. The file at `path` is unchanged
        then.
    TypeError
        If something in `extra` cannot be saved; the message names it.
    RuntimeError
        If an earlier step of the optimizer failed halfway.

    Examples
    --------
    >>> import gpuopt as go, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> opt = go.Adam().init({"w": np.ones(3)})
    >>> opt.step({"w": np.ones(3)})
    >>> go.save(path, opt, extra={"epoch": 1})
    >>> again = go.Adam().init({"w": np.zeros(3)})
    >>> go.load(path, again), again.t, bool((again.params["w"] == opt.params["w"]).all())
    ({'epoch': 1}, 1, True)
    """
    kept, processes = contents(opt, history, extra), opt._processes
    processes.together("save", lambda: None if processes.rank else write(path, kept))


def load(path: str | os.PathLike[str], opt: Optimizer, *, history: History | None = None) -> Any:
    """Continue from a file that `save` wrote: parameters, state and all the rest change in place.

    Everything is read and checked before anything changes. The parameters may be on another device
    than the saved ones, and another executor may update them. If the optimizer belongs to several
    processes, all call this, and each reads the file.

    Parameters
    ----------
    path : str or path
    opt : Optimizer
        An optimizer with the same rule, and arrays of the same structure, shapes and dtypes, as the
        saved one. It takes the saved hyperparameters, but keeps its schedules, which are functions
        of the count.
    history : History, optional
        It takes the saved record.

    Returns
    -------
    object
        The saved `extra`.

    Raises
    ------
    CheckpointError
        If the file is damaged, not a checkpoint, or of a later version. Nothing has changed then.
    TypeError, ValueError
        If the file is from another rule, or does not fit the arrays. Nothing has changed then.
    OSError
        If there is no such file, or it cannot be read.
    """
    check_optimizer(opt)
    found = opt._processes.together("load", lambda: read(path))
    return applied(found, opt, history, os.fspath(path))


def write(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree to a file, in the format that its name tells."""
    if _is_safetensors(path):
        from gpuopt.training.checkpoints.tensors import write_tensors

        write_tensors(path, tree)
    else:
        from gpuopt.training.checkpoints.archive import write_archive

        write_archive(path, tree)


def read(path: str | os.PathLike[str]) -> Any:
    """The tree in a file."""
    if Path(os.fsdecode(path)).is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a folder: name a file in it")
    if _is_safetensors(path):
        from gpuopt.training.checkpoints.tensors import read_tensors

        return read_tensors(path)
    from gpuopt.training.checkpoints.archive import read_archive

    return read_archive(path)


def _is_safetensors(path: str | os.PathLike[str]) -> bool:
    return str(os.fspath(path)).endswith(".safetensors")


def contents(opt: Optimizer, history: History | None, extra: Any, **more: Any) -> dict[str, Any]:
    """The content of a checkpoint of an optimizer, and what each of its processes adds to it."""
    check_optimizer(opt)

    def own() -> dict[str, Any]:
        _check_history(history)
        opt._guard.check()
        kept = {"history": None if history is None else history._saved(), "extra": extra, **more}
        return kept if processes.size == 1 else as_read(kept)

    processes = opt._processes
    first, *others = processes.each("save", own)
    found = opt.state_dict()
    return {
        "params": _shared(opt.params),
        "hyper": _hyper(opt),
        "state": found.pop("state"),
        "optimizer": found,
        **first,
        **({"others": others} if others else {}),
    }


def of_process(found: Any, opt: Optimizer) -> Any:
    """What was read, with what this process had kept, if there were as many processes then."""
    others = found.get("others", ()) if isinstance(found, dict) else ()
    processes = opt._processes
    as_then = processes.rank and len(others) + 1 == processes.size
    return {**found, **others[processes.rank - 1]} if as_then else found


def applied(found: Any, opt: Optimizer, history: History | None, path: str) -> Any:
    """Continue an optimizer and a record from the content of a checkpoint; return its `extra`."""
    found = of_process(found, opt)
    try:
        beside = opt._processes.together("load", lambda: _placed(found, opt, history, path))
        opt._load({**found["optimizer"], "state": found["state"]}, beside)
    except (TypeError, ValueError) as error:
        error.add_note(f"gpuopt.load: {path} does not fit this optimizer, which has not changed")
        raise
    if history is not None:
        history._restore(found["history"], array_module(*leaves(_shared(opt.params))))
    return found["extra"]


def _placed(
    found: Any, opt: Optimizer, history: History | None, path: str
) -> list[tuple[Any, Any]]:
    """Parameters and arrays for hyperparameters, each with the saved array that goes there."""
    _check_history(history)
    if not isinstance(found, dict) or "optimizer" not in found:
        raise CheckpointError(f"{path} holds no optimizer: did gpuopt.minimize write it?")
    if history is not None and found["history"] is None:
        raise ValueError(f"{path} holds no history: write gpuopt.load(path, opt)")
    beside = _beside("params", found["params"], _shared(opt.params))
    hyper, saved = _hyper(opt), found["hyper"]
    for name in {**hyper, **saved}:
        if name in hyper and name in saved:
            beside += _beside(f"hyper[{name!r}]", saved[name], hyper[name])
    return beside


def _shared(params: Any) -> Any:
    """Parameters of any library as arrays of NumPy or CuPy."""
    spec = TreeSpec(params, "params")
    each = zip(spec.leaves, spec.paths, strict=True)
    return spec.build([parameter(leaf, path) for leaf, path in each])


def check_optimizer(opt: Any) -> None:
    """Raise TypeError for anything but an optimizer."""
    if not isinstance(opt, Optimizer):
        kind, hint = type(opt), ""
        if isinstance(opt, str | os.PathLike):
            hint = ": the path comes first, gpuopt.save(path, opt) and gpuopt.load(path, opt)"
        elif kind.__module__.startswith("gpuopt.torch"):
            hint = ": write torch.save(opt.state_dict(), path)"
        raise TypeError(
            "opt must be an Optimizer, as rule.init(params) returns, got "
            f"{kind.__module__}.{kind.__qualname__}{hint}"
        )


def _check_history(history: Any) -> None:
    if not isinstance(history, History | None):
        raise TypeError(
            f"history must be a History, as gpuopt.fit returns, got {type(history).__name__}"
        )


def _hyper(opt: Optimizer) -> dict[str, Any]:
    """The arrays for hyperparameters: those given to `init`, and those in pieces."""
    written = {n: x for n, x in opt.rule.hyperparameters.items() if is_written(x)}
    return {**(opt._given or {}), **written}


def _beside(name: str, saved: Any, now: Any) -> list[tuple[Any, Any]]:
    """Each array of a tree with the saved array that is to be assigned to it."""
    spec, found = TreeSpec(now, name), []
    for path, target, source in zip(
        spec.paths, spec.leaves, spec.match(saved, f"saved {name}"), strict=True
    ):
        if target is None and source is None:
            continue
        if not fits(target, source):
            raise ValueError(
                f"{name}{path} is {told(target)}, and {told(source)} was saved: give init arrays "
                "of the saved shapes and dtypes"
            )
        if not getattr(target.flags, "writeable", True):
            if (target == source).all():
                continue
            raise ValueError(
                f"{name}{path} is read-only, and other values were saved: give init a copy"
            )
        found.append((target, like(target, source)))
    return found
