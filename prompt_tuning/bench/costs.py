"""What a call costs: CPU seconds, user and system apart, wall time, and peak memory."""

import gc
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import torch

Call = Callable[[], object]
Columns = dict[str, list[list[float]]]  # for each kind of seconds a list [batch][round]

KINDS = ("user_s", "sys_s", "wall_s", "seconds")
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # written to clear_refs; see proc(5)


def cost_of(call: Call, device: torch.device) -> dict[str, float]:
    """The seconds of one call by their `KINDS`, the garbage of what ran before it collected.

    `seconds` is what ratios are made of: user + system, which a busy machine barely changes. On a
    GPU, where nothing was measured by this project yet, it is the wall time until its work is done.
    """
    on_gpu = device.type == "cuda"
    gc.collect()
    if on_gpu:
        torch.cuda.synchronize(device)
    before, started = getrusage(RUSAGE_SELF), time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize(device)
    after, wall_s = getrusage(RUSAGE_SELF), time.perf_counter() - started
    user_s, sys_s = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    seconds = wall_s if on_gpu else user_s + sys_s
    return dict(zip(KINDS, (user_s, sys_s, wall_s, seconds), strict=True))


def interleave(
    calls: Mapping[str, Sequence[Call]], num_rounds: int, device: torch.device
) -> dict[str, Columns]:
    """The costs of every arm, measured in the order A B C D, A B C D in every round.

    Whatever slows the machine down for a while slows all arms down. An arm has a call a batch.
    """
    gc.collect()
    gc.freeze()  # what lives by now need not be walked before every call
    (num_batches,) = {len(batches) for batches in calls.values()}
    costs: dict[str, Columns] = {
        arm: {kind: [[] for _ in range(num_batches)] for kind in KINDS} for arm in calls
    }
    for _ in range(num_rounds):
        for batch in range(num_batches):
            for arm, batches in calls.items():
                for kind, seconds in cost_of(batches[batch], device).items():
                    costs[arm][kind][batch].append(round(seconds, 6))
    return costs


def peak_memory_gib(make: Callable[..., Call], *arguments: object) -> float | None:
    """The peak during one call, above the memory in use before it, in GiB.

    A fresh process makes the call and then calls once: nothing that another arm left behind in the
    allocator can be used again. Resident memory, on a GPU allocated memory. None where it cannot be
    known: no /proc, or the process was killed (out of memory).
    """
    if not CLEAR_REFS.exists() and not torch.cuda.is_available():
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prompt_tuning.bench.arms", "peft"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(_peak_gib, make, *arguments).result()
        except BrokenProcessPool:
            return None


def _peak_gib(make: Callable[..., Call], *arguments: object) -> float:
    call = make(*arguments)
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**30
    CLEAR_REFS.write_text(RESET_PEAK)
    before = _status_kib("VmRSS")
    call()
    return (_status_kib("VmHWM") - before) / 2**20


def _status_kib(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
