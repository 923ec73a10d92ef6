"""What a launcher's job may use: its share of the cores, a GPU of its own."""

import subprocess
import sys
from contextlib import nullcontext

import pytest
from omegaconf import OmegaConf

from prompt_tuning import composition, launchers
from prompt_tuning.config import config_dir
from prompt_tuning.errors import UserError
from prompt_tuning.launchers import (
    check_devices,
    claimed_gpu,
    gpu_of,
    share_gpus,
    threads_of_a_job,
)
from prompt_tuning.training import tuning


@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        ({"n_jobs": 2}, 4),
        ({"n_jobs": 3}, 2),
        ({"n_jobs": 16}, 1),
        ({"n_jobs": -1}, 1),
        ({"n_jobs": -5}, 2),
        ({"cpus_per_task": 6}, 6),
        ({"cpus_per_task": None}, None),
        ({"ray": {"remote": {"num_cpus": 3}}}, 3),
        ({"ray": {"remote": {}}}, None),
        ({}, None),
    ],
)
def test_the_cores_are_divided_among_the_jobs(launcher, threads):
    """Eight cores. Jobs that each take all of them wait for each other."""
    assert threads_of_a_job(OmegaConf.create(launcher), num_cores=8) == threads


def test_jobs_get_a_gpu_each_and_then_share_them(tmp_path):
    claims = [claimed_gpu(tmp_path, 2) for _ in range(5)]
    assert [gpu_of(claim) for claim in claims] == [0, 1, 0, 1, 0]
    claims[1].close()
    assert gpu_of(claimed_gpu(tmp_path, 2)) == 1


def test_a_job_that_dies_gives_its_gpu_back(tmp_path):
    code = (
        "import sys; from pathlib import Path; from prompt_tuning.launchers import *\n"
        f"claim = claimed_gpu(Path({str(tmp_path)!r}), 2); print(gpu_of(claim), flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "0\n"
        beside = claimed_gpu(tmp_path, 2)
        assert gpu_of(beside) == 1
        job.kill()
    assert gpu_of(claimed_gpu(tmp_path, 2)) == 0


@pytest.mark.parametrize(
    ("launcher", "device", "expected"),
    [
        ({"n_jobs": 2}, "auto", "cuda:0"),
        ({"n_jobs": 2}, "cuda", "cuda:0"),
        ({"n_jobs": 2}, "cpu", "cpu"),
        ({"n_jobs": 2}, "cuda:1", "cuda:1"),
        ({"gpus_per_node": 1}, "auto", "auto"),
    ],
)
def test_only_a_device_that_is_open_is_chosen(monkeypatch, tmp_path, launcher, device, expected):
    monkeypatch.setattr(launchers, "has_cuda", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(launchers, "_claims", [])
    cfg = OmegaConf.create({"machine": {"device": device}})
    share_gpus(cfg, OmegaConf.create(launcher))
    assert cfg.machine.device == expected


@pytest.mark.parametrize(("has_gpu", "asked"), [(True, 1), (False, 0)])
def test_ray_is_asked_for_a_gpu_a_run_where_there_are_gpus(monkeypatch, *, has_gpu, asked):
    monkeypatch.setattr(composition, "has_cuda", lambda: has_gpu)
    launcher = OmegaConf.load(config_dir() / "hydra" / "launcher" / "ray_tasks.yaml")
    assert launcher.ray.remote.num_gpus == asked


SLURM = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
RAY = "hydra/launcher=ray_tasks"


@pytest.mark.parametrize(
    ("overrides", "device", "is_refused"),
    [
        (SLURM, "auto", True),
        (SLURM, "cuda", False),
        ([RAY, "hydra.launcher.ray.remote.num_gpus=1"], "auto", True),
        ([RAY, "hydra.launcher.ray.remote.num_gpus=0"], "cpu", False),
        ([RAY], "auto", False),
        (["hydra/launcher=processes"], "auto", False),
    ],
)
def test_a_sweep_on_other_machines_says_what_they_have(overrides, device, *, is_refused):
    """A run's name has the kind of device. Ray's jobs get a GPU where this machine has one."""
    with pytest.raises(UserError, match="device=auto") if is_refused else nullcontext():
        check_devices(overrides, [device, device])


def test_it_is_refused_before_the_first_run(ptune, monkeypatch):
    monkeypatch.setattr(launchers, "ELSEWHERE", ("hydra/launcher=basic",))
    monkeypatch.setattr(tuning, "train", lambda *_: pytest.fail("a run was trained"))
    said = ptune("train", "-m", "hydra/launcher=basic", "seed=0,1", status=2).err
    assert "give machine.device=cuda or machine.device=cpu" in said
