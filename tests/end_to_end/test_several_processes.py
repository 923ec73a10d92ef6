"""One training run in several processes, as torchrun starts them: gloo on the CPU."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

RUN = [
    "train",
    "model=ladder_100k",
    "training.num_steps=12",
    "training.batch_size=8",
    "training.dropout=0.1",
    "evaluation.every_steps=6",
    "evaluation.num_examples=16",
    "machine.max_tokens_per_micro_batch=100",  # several micro-batches a step and process
    "tracking=none",
]
LONGER = [*RUN, "training.num_steps=60", "evaluation.every_steps=30"]
PORTS = count(20000 + os.getpid() % 20000)
SECONDS = 60  # for a process to end, on a busy machine


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"} | more


def once(overrides: list[str]) -> list[str]:
    """Overrides of which the last one of a key counts."""
    return [*{text.partition("=")[0]: text for text in overrides}.values()]


def start(size: int, folder: Path, *arguments: str) -> list[subprocess.Popen[str]]:
    """The processes of a run, rank 0 first, as torchrun would start them."""
    port, processes = str(next(PORTS)), []
    for rank in range(size):
        variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "prompt_tuning", *once([*arguments])],
                cwd=folder,
                env=environment(**(variables if size > 1 else {})),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit status, stdout and stderr of each process."""
    try:
        said = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


def run(size: int, folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    """What the first of the processes said; all end with `status`, the others in silence."""
    folder.mkdir(exist_ok=True)
    first, *others = ended(start(size, folder, *arguments))
    assert first[0] == status, first
    assert others == [(status, "", "")] * (size - 1)
    return first[1:]


def only_run(folder: Path) -> Path:
    (found,) = [path for path in (folder / "runs").iterdir() if path.name != "cache"]
    return found


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((only_run(folder) / "record.json").read_text())
    return record


def assert_same(folder: Path, other: Path) -> None:
    """The same prompt to rounding, the same scores, the same answers at every evaluation."""
    runs = [only_run(each) for each in (folder, other)]
    prompt, expected = (load_file(each / "prompt.safetensors") for each in runs)
    assert prompt["prompt"] == pytest.approx(expected["prompt"], rel=1e-6, abs=1e-6)
    assert (prompt["init"] == expected["init"]).all()
    assert (expected["prompt"] != expected["init"]).any()
    found, wanted = record_of(folder), record_of(other)
    assert found["result"] == wanted["result"]
    assert found["config_hash"] == wanted["config_hash"]
    answers = [
        {path.name: path.read_text() for path in (each / "predictions").iterdir()} for each in runs
    ]
    assert answers[0] == answers[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process has made the run, undisturbed."""
    folder = tmp_path_factory.mktemp("alone")
    run(1, folder, *LONGER)
    return folder


def test_torchrun_trains_the_prompt_of_one_process(alone: Path, tmp_path: Path) -> None:
    """One folder, one record, every line once; dropout is a row's own wherever it is computed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, f"--master-port={next(PORTS)}", "-m", "prompt_tuning", *once(LONGER)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path, alone)
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)) and lines[0].startswith("ptune train  mini_sst2")
    assert [line.split()[1] for line in lines if line.startswith("step ")] == ["30", "60"]
    assert record_of(tmp_path)["machine"]["num_processes"] == 2
    assert record_of(alone)["machine"]["num_processes"] == 1
    curves = (only_run(tmp_path) / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line) for line in curves if "train/loss" in line]
    assert [line["step"] for line in losses] == [*range(1, 61)]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have stopped because the second was asked to."""
    folder = tmp_path_factory.mktemp("stopped")
    processes = start(2, folder, *LONGER)
    wait_for_step(folder, 5)
    processes[1].send_signal(signal.SIGTERM)
    first, second = ended(processes)
    assert first[0] == 128 + signal.SIGTERM, first
    assert second == (128 + signal.SIGTERM, "", "")
    assert not (only_run(folder) / "record.json").exists()
    return folder


def wait_for_step(folder: Path, step: int) -> None:
    """Until the run in `folder` has logged `step`."""
    for _ in range(20 * SECONDS):
        for curves in folder.glob("runs/*/metrics.jsonl"):
            if f'"step": {step}' in curves.read_text():
                return
        time.sleep(0.05)
    raise AssertionError(f"no step {step} within {SECONDS} s")


@pytest.mark.parametrize("size", [1, 3])
def test_a_run_that_two_processes_began_goes_on_in_any_number(
    stopped: Path, alone: Path, tmp_path: Path, size: int
) -> None:
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    said, _ = run(size, tmp_path, *LONGER)
    assert "resumed at step" in said
    assert_same(tmp_path, alone)
    assert record_of(tmp_path)["machine"]["num_processes"] == size
    again, _ = run(size, tmp_path, *LONGER)
    assert "done before" in again


def test_whole_models_are_trained_in_several_processes_too(tmp_path: Path) -> None:
    whole = [*RUN, "method=model_tuning", "training.num_steps=3", "evaluation.every_steps=3"]
    for size in (1, 2):
        run(size, tmp_path / str(size), *whole)
    found, expected = (
        load_file(only_run(tmp_path / str(size)) / "model" / "model.safetensors") for size in (2, 1)
    )
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["data.train_file=broken.jsonl", "data.validation_file=broken.jsonl"], "broken.jsonl"),
        (["training.num_steps=0"], "training.num_steps"),
        (["method=prompt_design"], "method=prompt_design"),
        (["-m"], "-m"),
    ],
    ids=["data", "value", "method", "sweep"],
)
def test_a_mistake_ends_all_processes_and_is_said_once(
    tmp_path: Path, wrong: list[str], reason: str
) -> None:
    (tmp_path / "broken.jsonl").write_text("{\n")
    task = [] if "method" in wrong[0] else ["task=mini_sst2"]
    _, error = run(2, tmp_path, *RUN, *task, *wrong, status=2)
    assert error.startswith("ptune: error: ") and error.count("ptune: error") == 1
    assert reason in error


@pytest.fixture
def training(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes that train."""
    processes = start(3, tmp_path, *LONGER, "training.num_steps=5000")
    wait_for_step(tmp_path, 2)
    yield processes
    for process in processes:
        process.kill()


@pytest.mark.parametrize("dead", [0, 2])
def test_the_others_end_when_one_dies(
    training: list[subprocess.Popen[str]], tmp_path: Path, dead: int
) -> None:
    """Killed, without a word: the others find its connections closed."""
    training[dead].kill()
    results = ended(training)
    for rank, (status, _, error) in enumerate(results):
        if rank != dead:
            assert status == 1
        assert ("another process of this run" in error) == (rank == 0 != dead), error
    assert not (only_run(tmp_path) / "record.json").exists()
