"""Optimizers of several processes, with real ones: what they do together is in `tests.support.ranks`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gpuopt as go
from tests.support import ROOT
from tools import scale

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
ALONE = {"GPUOPT_CPU": "numpy", "GPUOPT_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Each process with one thread, for there are more processes than cores."""
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
"""What Open MPI 4 and 5 need to run as root, and to run more processes than there are cores."""
pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="needs mpi4py and mpiexec, as of mpich"
)


def run(
    count: int, *cases: str, module: tuple[str, ...] = ("tests.support.ranks",), **environment: str
) -> subprocess.CompletedProcess[str]:
    """What so many processes say and how they end; they are broken off after a while."""
    command = [str(MPIEXEC), "-n", str(count), sys.executable, "-m", *module, *cases]
    env = {**os.environ, **ALONE, **OPEN_MPI, **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=240, check=False)


@pytest.mark.parametrize(
    ("count", "cases"),
    [(2, ()), (4, ("as_one_process", "a_share_of_the_state", "another_number_of_processes", "what_is_refused"))],
)
def test_processes_do_together_what_one_does(count: int, cases: tuple[str, ...]) -> None:
    done = run(count, *cases)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("count", [2, 3])
def test_training_and_files_are_of_all_processes(count: int) -> None:
    done = run(count, module=("tests.support.ranks_in_training",))
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_process_that_dies_ends_all() -> None:
    start = time.monotonic()
    done = run(2, "dies")
    assert done.returncode != 0
    assert "done" not in done.stdout
    assert time.monotonic() - start < 60


def test_a_step_sends_what_the_model_says() -> None:
    done = run(2, "--count", module=("tools.scale",))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as the model") == 14


def test_the_page_on_scale_has_the_table_of_the_model() -> None:
    assert scale.table() in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


@pytest.mark.gpu
@pytest.mark.parametrize("streams", ["now", "late"])
def test_arrays_on_emulated_gpus(gpu_is_emulated: bool, streams: str) -> None:
    """Each process has GPUs of its own."""
    if not gpu_is_emulated:
        pytest.skip("a real GPU is shared by all processes, below")
    done = run(2, module=("tests.support.emulated_gpu", "-m", "tests.support.ranks_on_gpu"), EMULATED_STREAMS=streams)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def on_a_real_gpu(gpu_is_emulated: bool, count: int, *cases: str) -> None:
    if gpu_is_emulated:
        pytest.skip("NCCL and MPI of a real GPU; the emulated ones are above")
    done = run(count, *cases, module=("tests.support.ranks_on_gpu",), NCCL_DEBUG="WARN", NCCL_DEBUG_FILE="/dev/stderr")
    if cases == ("over_cuda_aware_mpi",) and "needs an MPI that reads the memory of a GPU" in done.stderr:
        pytest.skip("this MPI was not built with CUDA")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stdout + done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("count", "cases"),
    [
        (2, ("through_the_host", "what_is_refused")),
        (2, ("over_nccl", "norms", "without_mpi", "losses", "a_fit", "the_host_goes_on", "one_communicator")),
        (4, ("over_nccl", "without_mpi", "losses")),
    ],
)
def test_processes_share_a_gpu(gpu_is_emulated: bool, count: int, cases: tuple[str, ...]) -> None:
    on_a_real_gpu(gpu_is_emulated, count, "share_one_gpu", *cases)


@pytest.mark.gpu
def test_nccl_wants_a_gpu_for_each_process(gpu_is_emulated: bool) -> None:
    on_a_real_gpu(gpu_is_emulated, 2, "a_gpu_for_each")


@pytest.mark.gpu
def test_an_mpi_that_reads_the_memory_of_a_gpu(gpu_is_emulated: bool) -> None:
    on_a_real_gpu(gpu_is_emulated, 2, "over_cuda_aware_mpi")


def test_what_is_no_communicator_is_refused() -> None:
    with pytest.raises(TypeError, match=r"mpi4py.MPI.COMM_WORLD \(pip install \"mpi4py>=4\"\), got int, which has no size"):
        go.distributed.init(go.SGD(), np.ones(2), 3)
