"""Mistakes in optimizers of several processes."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

TOGETHER = "test_distributed::test_processes_do_together_what_one_does"
MISTAKES = [
    Mistake("a sum in place of a mean", "Bucket.average", "self.own /= self._comm.size", "pass", TOGETHER),
    Mistake("gradients of processes that have none are old ones", "Bucket.average", "rows[_1] = 0", "pass", TOGETHER),
    Mistake("the gradient of the first process counted twice", "Bucket.average", "more[1:]", "more", TOGETHER),
    Mistake("the end of an array left out", "_spread", "if rest: __1", "pass", TOGETHER),
    Mistake("norms of shares taken for those of arrays", "_agreed", "_1.accumulate(rows, axis=0)[-1]", "rows[0]", TOGETHER),
    Mistake("parameters that differ at the beginning", "distributed:init", "broadcast(comm, leaf)", "pass", TOGETHER),
    Mistake("shares that are not sent", "Sharding.step", "bucket.exchange(__1)", "pass", TOGETHER),
    Mistake("state of the first share loaded by all", "Sharding._mine", "comm.rank", "0", TOGETHER),
    Mistake("another rule that cannot be shared", "Sharding._check_rule", "self._check_shares()", "pass", TOGETHER),
    Mistake("a loss that one process has not", "heard", "(has_loss, _1)", "(t, _1)", TOGETHER),
    Mistake("an error that one process keeps to itself", "together", "comm.allgather(text)", "[text]", TOGETHER),
]
