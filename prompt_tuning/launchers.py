"""What a job of a Hydra launcher may use of a machine: its share of the cores, a GPU of its own."""

import os
import re
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import IO

from omegaconf import DictConfig, OmegaConf

from prompt_tuning.devices import has_cuda
from prompt_tuning.errors import InProgress, UserError
from prompt_tuning.locking import hold

# With one of these a sweep's jobs may have a GPU where this machine has none, or none where it has.
ELSEWHERE = ("hydra/launcher=slurm", "hydra.launcher.ray.remote.num_gpus=")

_claims: list[IO[bytes]] = []  # this process's own: a launcher gives it one run after the other


def check_jobs(overrides: Sequence[str]) -> None:
    """Raises a UserError if runs are to be done in none or no number of processes at once."""
    for text in overrides:
        key, _, value = text.partition("=")
        is_number = re.fullmatch(r"-?[1-9]\d*|null|\$.*", value)
        if key.lstrip("+") == "hydra.launcher.n_jobs" and not is_number:
            allowed = "1 or more; -1: one for every core, -2: one fewer"
            raise UserError(f"{text} is no number of jobs", allowed=allowed)


def check_devices(overrides: Sequence[str], devices: Sequence[str]) -> None:
    """Raises a UserError if jobs on machines unlike this one are to find out their own device.

    What auto means here names the runs' folders: their jobs would use others.
    """
    if any(text.startswith(ELSEWHERE) for text in overrides) and "auto" in devices:
        raise UserError(
            "machine.device=auto, and the runs are done on other machines",
            fix="say what those have: give machine.device=cuda or machine.device=cpu",
        )


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

    joblib's config has n_jobs, Slurm's and Ray's the cores of a job. This process may use
    `num_cores` of the machine.
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
    is_open = OmegaConf.select(cfg, "machine.device") in ("auto", "cuda")
    if OmegaConf.select(launcher, "n_jobs") is None or not is_open or not has_cuda():
        return
    import torch

    folder = Path(tempfile.gettempdir()) / f"ptune-gpus-{os.getuid()}"
    if not _claims:
        _claims.append(claimed_gpu(folder, torch.cuda.device_count()))
    OmegaConf.update(cfg, "machine.device", f"cuda:{gpu_of(_claims[0])}")


def claimed_gpu(folder: Path, num_gpus: int) -> IO[bytes]:
    """A claim on the GPU that has the fewest, held until the file is closed or the process dies.

    `folder` is made if it is not there: it has the claims of this machine and user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Every GPU's first place, then every one's second, and so on.
    for place, gpu in ((place, gpu) for place in count() for gpu in range(num_gpus)):
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
