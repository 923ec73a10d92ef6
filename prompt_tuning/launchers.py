"""What a job of a Hydra launcher may use of a machine: its share of the cores, a GPU of its own."""

import os
import tempfile
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from typing import IO

from omegaconf import DictConfig, OmegaConf

from prompt_tuning.devices import has_cuda
from prompt_tuning.errors import InProgress
from prompt_tuning.locking import hold

_claims: list[IO[bytes]] = []  # this process's own: a launcher gives it one run after the other


def share_threads(cfg: DictConfig, launcher: DictConfig) -> None:
    """Gives machine.num_threads this job's share of the machine, if it is null.

    Two jobs with a thread for every core wait for each other: ten times slower, measured.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS does not tell; there it is all cores
    num_cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    threads = threads_of_a_job(launcher, num_cores)
    unset = OmegaConf.select(cfg, "machine.num_threads", default=0) is None
    if threads is not None and unset:
        OmegaConf.update(cfg, "machine.num_threads", threads)


def threads_of_a_job(launcher: DictConfig, num_cores: int) -> int | None:
    """The threads for one of a launcher's jobs; None where the launcher does not say.

    Args:
        launcher: Hydra's config of it; joblib's has n_jobs, Slurm's and Ray's cores of a job.
        num_cores: of this machine, that this process may use.
    """
    for key in ("cpus_per_task", "ray.remote.num_cpus"):
        cores = OmegaConf.select(launcher, key)
        if cores is not None:
            return max(1, int(cores))
    num_jobs = OmegaConf.select(launcher, "n_jobs")
    if num_jobs is None:
        return None
    if num_jobs < 0:  # joblib's way to leave some free: -1 is a job a core, -2 one fewer
        num_jobs = max(1, num_cores + 1 + num_jobs)
    return max(1, num_cores // num_jobs)


def share_gpus(cfg: DictConfig, launcher: DictConfig) -> None:
    """Gives machine.device this process's own GPU where a launcher starts several on one machine.

    Slurm and Ray hide the GPUs of other jobs themselves. Unverified on a machine with GPUs.
    """
    device = OmegaConf.select(cfg, "machine.device")
    if OmegaConf.select(launcher, "n_jobs") is None or device not in ("auto", "cuda"):
        return
    if not has_cuda():
        return
    import torch

    folder = Path(tempfile.gettempdir()) / f"ptune-gpus-{os.getuid()}"
    if not _claims:
        _claims.append(claimed_gpu(folder, torch.cuda.device_count()))
    OmegaConf.update(cfg, "machine.device", f"cuda:{gpu_of(_claims[0])}")


def claimed_gpu(folder: Path, num_gpus: int) -> IO[bytes]:
    """A claim on the GPU that has the fewest, held until the file is closed or the process dies.

    Args:
        folder: of the claims of this machine and user; made if it is not there.
        num_gpus: of the machine, 1 or more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place, gpu in _places(num_gpus):
        file = (folder / f"{gpu}-{place}").open("ab")
        try:
            hold(file, file.name)
        except InProgress:
            file.close()
            continue
        return file
    raise AssertionError("there is always a place more")


def gpu_of(claim: IO[bytes]) -> int:
    """The number of a GPU that was claimed."""
    return int(Path(claim.name).name.partition("-")[0])


def _places(num_gpus: int) -> Iterator[tuple[int, int]]:
    """Every GPU's first place, then every one's second, and so on."""
    for place in count():
        yield from product([place], range(num_gpus))
