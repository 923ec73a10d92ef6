"""Hydra's launchers: which of them run jobs in other processes, and what each job may use there."""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from prompt_tuning.errors import UserError

# Files of conf/hydra/launcher -> the plugin that they need, and our extra that brings it.
PLUGINS = {
    "processes": ("hydra-joblib-launcher", "parallel"),
    "slurm": ("hydra-submitit-launcher", "slurm"),
    "ray_tasks": ("hydra-ray-launcher", "ray"),
}


def check_launchers(overrides: Sequence[str]) -> None:
    """Raises UserError if the command line chooses a launcher that is not installed."""
    for text in overrides:
        key, _, name = text.partition("=")
        if key != "hydra/launcher" or name not in PLUGINS:
            continue
        package, extra = PLUGINS[name]
        try:
            version(package)
        except PackageNotFoundError:
            raise UserError(
                f"{text} needs {package}, which is not installed",
                fix=f"pip install 'ptune[{extra}]', in a checkout pip install -e '.[{extra}]'",
            ) from None


def runs_elsewhere() -> bool:
    """Whether the job that Hydra is running is in a process of the launcher's."""
    return bool(HydraConfig.get().runtime.choices["hydra/launcher"] != "basic")


def share_threads(cfg: DictConfig) -> None:
    """Gives machine.num_threads this job's share of the machine, if it is null.

    Two jobs with a thread for every core wait for each other: ten times slower, measured.
    """
    threads = threads_of_a_job(HydraConfig.get().launcher, _num_cores())
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


def _num_cores() -> int:
    """Those that this process may use; macOS does not tell and gives all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
