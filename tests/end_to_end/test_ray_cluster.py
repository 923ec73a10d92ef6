"""A Ray cluster of two nodes on this machine runs a sweep; one of its workers is killed on the way.

`-m ray` runs this alone: it needs `pip install 'ptune[ray]'`, else it is skipped, and two minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.network]

SEEDS = range(6)
SWEEP = [
    *("train", "-m", "hydra/launcher=ray_tasks", "hydra.launcher.ray.init.address=auto"),
    *("model=ladder_100k", "task=mini_rte", "tracking=none", "training.batch_size=4"),
    *("training.num_steps=60", "evaluation.every_steps=20", "evaluation.num_examples=20"),
    *("evaluation.report_split=null", f"seed={','.join(map(str, SEEDS))}"),
]


@pytest.fixture
def cluster():
    """Two nodes of one core each."""
    ray = pytest.importorskip("ray", reason="pip install 'ptune[ray]'")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = nodes.address
    yield
    del os.environ["RAY_ADDRESS"]
    nodes.shutdown()
    assert not ray.is_initialized()


def workers():
    """The processes that do a task of Ray's now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and not command.startswith(b"ray::IDLE"):
            found.append(int(folder.name))
    return found


def start(folder):
    command = [sys.executable, "-m", "prompt_tuning.cli", *SWEEP]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_killed_worker_loses_nothing_and_no_run_is_done_twice(cluster, tmp_path):
    sweep = start(tmp_path)
    give_up = time.monotonic() + 120
    while not (busy := [p for p in workers() if list(tmp_path.glob("runs/*/resume.pt"))]):
        assert time.monotonic() < give_up and sweep.poll() is None, sweep.communicate()[0]
        time.sleep(0.2)
    os.kill(busy[0], signal.SIGKILL)
    said, _ = sweep.communicate(timeout=200)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/record.json")}
    if len(finished) < len(SEEDS):  # what the killed worker was at is missing: start again
        assert sweep.returncode != 0, said
        again = start(tmp_path)
        said, _ = again.communicate(timeout=200)
        assert again.returncode == 0, said
    records = sorted(tmp_path.glob("runs/*/record.json"))
    assert len(records) == len(SEEDS), said
    for path, written in finished.items():
        assert path.stat().st_mtime_ns == written, "a finished run was done again"
    for path in records:
        lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").open()]
        steps = [line["step"] for line in lines if "train/loss" in line]
        assert steps == [*range(1, 61)], "each step once, whoever did it"
