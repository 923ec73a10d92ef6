"""What a call costs: CPU seconds of this process, user and system apart, and wall time."""

import gc
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Cost:
    """Seconds of one call."""

    user_s: float
    sys_s: float
    wall_s: float  # on a GPU until its work is done
    on_gpu: bool

    @property
    def seconds(self) -> float:
        """What ratios are made of: CPU seconds, which a busy machine barely changes; GPU: wall.

        Nothing was measured on a GPU by this project yet.
        """
        return self.wall_s if self.on_gpu else self.user_s + self.sys_s


def cost_of(call: Callable[[], object], device: torch.device) -> Cost:
    """Runs `call` once, with the garbage of what ran before it collected."""
    gc.collect()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize(device)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return Cost(
        after.ru_utime - before.ru_utime,
        after.ru_stime - before.ru_stime,
        ended - started,
        on_gpu,
    )


def interleave(
    calls: Mapping[str, Sequence[Callable[[], object]]], num_rounds: int, device: torch.device
) -> dict[str, list[list[Cost]]]:
    """Costs by arm, call and round, measured in the order A B C D, A B C D.

    Whatever slows the machine down for a while slows all arms down.

    Args:
        calls: by arm, one for each batch; all arms have the same batches.
        num_rounds: how often each is measured.
        device: that they use.
    """
    (num_batches,) = {len(of_arm) for of_arm in calls.values()}
    costs: dict[str, list[list[Cost]]] = {arm: [[] for _ in range(num_batches)] for arm in calls}
    for _ in range(num_rounds):
        for batch in range(num_batches):
            for arm, of_arm in calls.items():
                costs[arm][batch].append(cost_of(of_arm[batch], device))
    return costs


def as_columns(costs: Sequence[Sequence[Cost]]) -> dict[str, list[list[float]]]:
    """Costs of one arm for a record: for each kind of seconds a list [batch][round]."""
    kinds = ("user_s", "sys_s", "wall_s", "seconds")
    return {
        kind: [[round(getattr(cost, kind), 6) for cost in rounds] for rounds in costs]
        for kind in kinds
    }
