"""The peak memory of one call above what is there before it, in a process of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # written to clear_refs; see proc(5)


def peak_memory_gib(make: Callable[..., Callable[[], object]], *arguments: object) -> float | None:
    """The peak during one call, above the memory in use before it, in GiB.

    A fresh process makes the call's models and batches and then calls once: nothing that another
    arm left behind in the allocator can be used again. Resident memory, on a GPU allocated memory.

    Args:
        make: a function of a module, called in the process; returns what is measured.
        arguments: of `make`; they travel by pickle.

    Returns:
        None where it cannot be known: no /proc, or the process was killed (out of memory).
    """
    if not CLEAR_REFS.exists() and not torch.cuda.is_available():
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prompt_tuning.bench.arms", "peft"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(_measure, make, *arguments).result()
        except BrokenProcessPool:
            return None


def _measure(make: Callable[..., Callable[[], object]], *arguments: object) -> float:
    call = make(*arguments)
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**30
    CLEAR_REFS.write_text(RESET_PEAK)
    before = _status_bytes("VmRSS")
    call()
    return (_status_bytes("VmHWM") - before) / 2**30


def _status_bytes(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{STATUS} has no {name}")
