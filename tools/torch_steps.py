"""Steps of `gpuopt.torch.Optimizer` beside those of ``torch.optim``, on the CPU: how much they differ, and how long they take.

    python tools/torch_steps.py            # six arrays of a network, and 300 of 1,000 elements

Rounds of all optimizers take turns, and the shortest of each counts, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import timeit
from typing import Any

import torch

import gpuopt as go

NETWORK = [(784, 128), (128,), (128, 64), (64,), (64, 10), (10,)]
CASES = {"six arrays, 109,386 elements": NETWORK, "300 arrays of 1,000": [(1000,)] * 300}


def parameters(shapes: list[tuple[int, ...]]) -> list[Any]:
    """The same parameters and gradients each time."""
    torch.manual_seed(0)
    found = [(0.05 * torch.randn(shape)).requires_grad_() for shape in shapes]
    for p in found:
        p.grad = torch.randn(p.shape)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for case, shapes in CASES.items():
        made: dict[str, Any] = {}
        tensors = {name: parameters(shapes) for name in ("gpuopt", "single", "foreach", "fused")}
        made["gpuopt"] = go.torch.Optimizer(tensors["gpuopt"], go.Adam(1e-3))
        made["single"] = torch.optim.Adam(tensors["single"], foreach=False)
        made["foreach"] = torch.optim.Adam(tensors["foreach"], foreach=True)
        made["fused"] = torch.optim.Adam(tensors["fused"], fused=True)
        for opt in made.values():
            torch.manual_seed(1)
            for _ in range(100):
                for p in opt.param_groups[0]["params"]:
                    p.grad = torch.randn(p.shape)
                opt.step()
        pairs = zip(tensors["gpuopt"], tensors["single"], strict=True)
        print(f"{case}: after 100 steps at most {max((p - q).abs().max().item() for p, q in pairs):.1e} from torch.optim")
        best = dict.fromkeys(made, float("inf"))
        for _ in range(arguments.rounds):
            for name, opt in made.items():
                best[name] = min(best[name], timeit.timeit(opt.step, number=10) / 10)
        print("  " + ", ".join(f"{name} {1e6 * seconds:,.0f} µs" for name, seconds in best.items()))


if __name__ == "__main__":
    main()
