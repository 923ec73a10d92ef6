"""Where the time of a step goes: PyTorch's own profile, by what its operators are for."""

from collections.abc import Callable
from fnmatch import fnmatch

from torch.profiler import ProfilerActivity, profile

KINDS = {  # the first pattern that fits; both GPU and CPU names
    "products with weights": ("mkldnn::_linear*", "aten::mm", "aten::addmm", "aten::linear"),
    "attention": ("aten::_scaled_dot_product*", "aten::_efficient_attention*"),
    "products by head": ("aten::bmm", "aten::baddbmm"),
    "GELU": ("aten::gelu*",),
}
REST = "everything else"


def breakdown(step: Callable[[], object]) -> dict[str, float]:
    """Shares of the time that a step's operators take by themselves; they sum to 1.

    Measured on one step, apart from those that are timed: the profiler costs time itself.
    """
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    seconds = dict.fromkeys((*KINDS, REST), 0.0)
    for event in profiled.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    return {kind: round(spent / total, 4) for kind, spent in seconds.items()}


def kind_of(operator: str) -> str:
    """What an operator, such as aten::mm, is for."""
    for kind, patterns in KINDS.items():
        if any(fnmatch(operator, pattern) for pattern in patterns):
            return kind
    return REST
