"""What `auto` means on this machine, for device and dtype; torch is not imported if that is clear.

A run's hash and the loading of its model both ask here, so that they agree.
"""

import ctypes
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from prompt_tuning.errors import UserError

TOKENS_ON_CPU = 2048  # encoder positions of a micro-batch that fit its cache


def resolved_device(device: str) -> str:
    """The device that `machine.device` means: itself; of auto cuda where there is one, else cpu."""
    if device != "auto":
        return device
    return "cuda" if has_cuda() else "cpu"


def resolved_dtype(dtype: str, device: str) -> str:
    """float32 or bfloat16, as `machine.dtype` and `machine.device` say; auto: bfloat16 on cuda."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if resolved_device(device).startswith("cuda") else "float32"


def check_gpu(device: str) -> None:
    """Raises a UserError if torch does not find the GPU that is named: cuda:1 is the second one."""
    if not device.startswith("cuda"):
        return
    if not has_cuda():
        raise UserError(
            f"machine.device={device}, and torch finds no GPU here",
            allowed="machine.device=cpu, auto",
            fix="leave it out, or install a CUDA build of torch and its driver: ptune doctor",
        )
    import torch

    number, count = device.partition(":")[2], torch.cuda.device_count()
    if number and int(number) >= count:
        raise UserError(
            f"machine.device={device}, and torch finds {count} GPUs here",
            allowed=", ".join(f"cuda:{each}" for each in range(count)),
        )


@cache
def has_cuda() -> bool:
    """Whether torch finds a GPU: asked only if it was built for one and its driver is here."""
    spec = find_spec("torch")
    assert spec is not None and spec.origin is not None, "torch is not installed"
    built = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    built_for = re.findall(r"^(cuda|hip)\b[^=]*= *'", built, re.MULTILINE)
    if not built_for:
        return False
    if "hip" not in built_for:
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()
