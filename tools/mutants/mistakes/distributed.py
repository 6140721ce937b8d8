"""Mistakes in optimizers of several processes."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

ON_GPU = "test_distributed::test_arrays_on_emulated_gpus"
TRAINING = "test_distributed::test_training_and_files_are_of_all_processes"
TOGETHER = "test_distributed::test_processes_do_together_what_one_does"
MISTAKES = [
    Mistake("a sum in place of a mean", "Bucket._reduce", "self.own /= self._transport.size", "pass", TOGETHER),
    Mistake("gradients of processes that have none are old ones", "ShareBucket.average", "rows[_1] = 0", "pass", TOGETHER),
    Mistake("the gradient of the first process counted twice", "Bucket._reduce", "received[1:]", "received", TOGETHER),
    Mistake("means of whole arrays with old gradients", "FlatBucket.average", "0 if array is None else _1", "_1", TOGETHER),
    Mistake("means that are not sent", "FlatBucket.average", "self._transport.all_gather(__1)", "pass", TOGETHER),
    Mistake("the end of an array left out", "_spread", "if rest: __1", "pass", TOGETHER),
    Mistake(
        "norms of shares taken for those of arrays", "_agreed", "quietly(getattr(xp, op), part, axis=0)", "part[0]", TOGETHER
    ),
    Mistake("parameters that differ at the beginning", "distributed:init", "broadcast(carrier, leaf)", "pass", TOGETHER),
    Mistake("shares that are not sent", "Sharding.step", "bucket.exchange(__1)", "pass", TOGETHER),
    Mistake("state of the first share loaded by all", "Sharding._mine", "transport.rank", "0", TOGETHER),
    Mistake("another rule that cannot be shared", "Sharding._check_rule", "self._check_shares()", "pass", TOGETHER),
    Mistake("a loss that one process has not", "heard", "(has_loss, _1)", "(t, _1)", TOGETHER),
    Mistake(
        "an error that one process keeps to itself",
        "agreement:_told_in_words",
        "transport.gather((what, text, found))",
        "[(what, text, found)] * transport.size",
        TOGETHER,
    ),
    Mistake("an error that is told twice", "_tried", "getattr(error, _KNOWN, False)", "False", TRAINING),
    Mistake("another call of one process", "_first_error", "what != first", "False", TRAINING),
    Mistake("a schedule that is another one later", "Distributed._token_of_step", "repr(values)", "repr(0)", TOGETHER),
    Mistake("an array that was replaced in a tree of shares", "Sharding.__init__", "Guard(__1)", "self._guard", TOGETHER),
    Mistake("NCCL on another stream", "NcclTransport._stream", "int(_1)", "0", ON_GPU, ()),
    Mistake("MPI beside a GPU that still computes", "MpiTransport._wait", "_1.synchronize()", "pass", ON_GPU, ()),
    Mistake("numbers of the other width", "NcclTransport._kind", "array.dtype == np.float32", "True", ON_GPU, ()),
    Mistake(
        "a row that NCCL sends to the wrong process", "NcclTransport.all_to_all", "received[rank]", "received[0]", ON_GPU, ()
    ),
    Mistake("totals of shares on a GPU", "DeviceSteps._rows", "self.agree", "False", ON_GPU, ()),
    Mistake("an NCCL communicator for each optimizer", "nccl:communicator", "device in _made(comm)", "False", ON_GPU, ()),
    Mistake("a GPU that waits for its loss", "Distributed._averages_loss", "self._transport.xp is not np", "False", ON_GPU, ()),
    Mistake("an MPI taken for CUDA-aware", "check_cuda_aware", "_says_cuda_aware() is False", "False", ON_GPU, ()),
    Mistake("validation of the first process alone", "Group.means", "counts @ rows / counts.sum()", "rows[0]", TRAINING),
    Mistake(
        "validation with as much weight in each", "Group.means", "[count for _1 in found]", "[1 for _1 in found]", TRAINING
    ),
    Mistake("the record of the first process for all", "of_process", "processes.rank and _1", "False", TRAINING),
    Mistake("checkpoints written by all processes", "Checkpointer.write", "processes.rank", "0", TRAINING),
    Mistake("a file written by all processes", "checkpoint:save", "processes.rank", "0", TRAINING),
    Mistake("what cannot be kept told after the others have sent", "checkpoint:contents", "as_read(kept)", "kept", TRAINING),
]
