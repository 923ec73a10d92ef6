"""One training run in several processes, as torchrun starts them: gloo on the CPU."""

import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import count

import forks
import pytest
from forks import only_run, wait_for_step
from quick_runs import lines_of, once, record_in, train_config_of
from safetensors.numpy import load_file

from prompt_tuning.commands import train
from prompt_tuning.resume_points import step_of

RUN = [
    *("train", "model=ladder_100k", "training.num_steps=60", "training.batch_size=8"),
    *("training.dropout=0.1", "evaluation.every_steps=30", "evaluation.num_examples=16"),
    *("evaluation.num_report_examples=16", "evaluation.rank=labels", "tracking=none"),
    "machine.max_tokens_per_micro_batch=100",  # several micro-batches a step and process
    # At the recipe's 0.3 rounding grows to 0.06 in 20 steps, in one process by its budget too.
    "optimizer.learning_rate=0.001",
]
PORTS = count(20000 + os.getpid() % 20000)
SECONDS = 60  # for a process to end, on a busy machine


def start(size, folder, *arguments):
    """The processes of a run, rank 0 first, as torchrun would start them, but quicker."""
    port, processes = str(next(PORTS)), []
    for rank in range(size):
        variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(forks.Started(*once([*arguments]), folder=folder, **variables))
    return processes


def ended(processes):
    """Exit status, stdout and stderr of each process."""
    try:
        said = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


def run(size, folder, *arguments, status=0):
    """What the first of the processes said; all end with `status`, the others in silence."""
    folder.mkdir(exist_ok=True)
    first, *others = ended(start(size, folder, *arguments))
    assert first[0] == status, first
    assert others == [(status, "", "")] * (size - 1)
    return first[1:]


def run_here(folder, *overrides):
    """The same run in this process alone."""
    given = once([*RUN[1:], *overrides, f"output_dir={folder / 'runs'}"])
    train.run(train_config_of(*given))


def assert_same(folder, other):
    """The same prompt and losses to rounding, the same scores and answers at every evaluation."""
    runs = [only_run(each) for each in (folder, other)]
    prompt, expected = (load_file(each / "prompt.safetensors") for each in runs)
    assert prompt["prompt"] == pytest.approx(expected["prompt"], rel=1e-6, abs=1e-6)
    assert (prompt["init"] == expected["init"]).all()
    assert (expected["prompt"] != expected["init"]).any()
    found, wanted = record_in(folder), record_in(other)
    assert found["result"] == wanted["result"]
    assert found["config_hash"] == wanted["config_hash"]
    losses, wanted_losses = (losses_of(each) for each in (folder, other))
    assert losses == pytest.approx(wanted_losses, rel=1e-6)
    answers = [
        {path.name: path.read_text() for path in (each / "predictions").iterdir()} for each in runs
    ]
    assert answers[0] == answers[1]


def losses_of(folder):
    """By step, as they were logged."""
    lines = lines_of(only_run(folder) / "metrics.jsonl")
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Where one process has made the run, undisturbed."""
    folder = tmp_path_factory.mktemp("alone")
    run_here(folder)
    return folder


def test_torchrun_trains_the_prompt_of_one_process(alone, tmp_path):
    """One folder, one record, every line once; dropout is a row's own wherever it is computed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, f"--master-port={next(PORTS)}", "-m", "prompt_tuning", *once(RUN)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path, alone)
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)) and lines[0].startswith("ptune train  mini_sst2")
    assert [line.split()[1] for line in lines if line.startswith("step ")] == ["30", "60"]
    assert record_in(tmp_path)["machine"]["num_processes"] == 2
    assert record_in(alone)["machine"]["num_processes"] == 1
    curves = (only_run(tmp_path) / "metrics.jsonl").read_text()
    assert curves.count("train/loss") == len(losses_of(tmp_path)) == 60

    said, _ = run(2, tmp_path, *RUN)
    assert said.startswith(f"{only_run(tmp_path).name}: done before")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder in which two processes have stopped because the second was asked to."""
    folder = tmp_path_factory.mktemp("stopped")
    processes = start(2, folder, *RUN)
    wait_for_step(folder, 5)
    processes[1].send_signal(signal.SIGTERM)
    first, second = ended(processes)
    assert first[0] == 128 + signal.SIGTERM, first
    assert second == (128 + signal.SIGTERM, "", "")
    assert not (only_run(folder) / "record.json").exists()
    return folder


@pytest.mark.parametrize("size", [1, 3])
def test_a_run_that_two_processes_began_goes_on_in_any_number(stopped, alone, tmp_path, size):
    """Three of them share the weights of the frozen model, too."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    if size == 1:
        run_here(tmp_path)
    else:
        said, error = run(size, tmp_path, *RUN, "machine.spread_weights=true")
        assert error == ""
        held, total = re.findall(r"weights +([\d,]+) of ([\d,]+) in each of 3", said)[0]
        assert int(held.replace(",", "")) < 0.75 * int(total.replace(",", ""))
    assert "resumed at step" in (only_run(tmp_path) / "log.txt").read_text()
    assert_same(tmp_path, alone)
    assert record_in(tmp_path)["machine"]["num_processes"] == size


def test_whole_models_are_trained_in_several_processes_too(tmp_path):
    """With all weights in each process, or a share."""
    whole = ["method=model_tuning", "training.num_steps=3", "evaluation.every_steps=3"]
    run_here(tmp_path / "alone", *whole)
    for spread in ("false", "true"):
        run(2, tmp_path / spread, *RUN, *whole, f"machine.spread_weights={spread}")
    alone, *others = (
        load_file(only_run(tmp_path / name) / "model" / "model.safetensors")
        for name in ("alone", "false", "true")
    )
    for name, values in alone.items():
        for found in others:
            assert found[name] == pytest.approx(values, rel=1e-5, abs=1e-5), name


def test_a_stop_in_an_evaluation_stops_all_behind_the_next_step(tmp_path):
    """Where all processes answer and gather what they save, they must do both together."""
    spread = ["method=model_tuning", "machine.spread_weights=true", "evaluation.num_examples=400"]
    processes = start(2, tmp_path, *RUN, *spread, "evaluation.every_steps=2")
    wait_for_step(tmp_path, 2)
    processes[0].send_signal(signal.SIGTERM)
    assert [status for status, _, _ in ended(processes)] == [128 + signal.SIGTERM] * 2
    assert step_of(only_run(tmp_path) / "resume.pt") >= 3


def test_a_mistake_ends_all_processes_and_is_said_once(tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"sentence": "so"')
    files = [f"data.{split}_file=broken.jsonl" for split in ("train", "validation")]
    _, error = run(2, tmp_path, *RUN, "task=sst2", "data.dir=.", *files, status=2)
    assert error.startswith("ptune: error: ") and error.count("ptune: error") == 1
    assert "broken.jsonl" in error


@pytest.fixture
def training(tmp_path):
    """Two processes that train."""
    spread = "machine.spread_weights=true"
    processes = start(2, tmp_path, *RUN, "training.num_steps=5000", spread)
    wait_for_step(tmp_path, 2)
    yield processes
    for process in processes:
        process.kill()


@pytest.mark.parametrize("dead", [0, 1])
def test_the_others_end_when_one_dies(training, tmp_path, dead):
    """Killed, without a word: the others find its connections closed."""
    training[dead].kill()
    results = ended(training)
    for rank, (status, _, error) in enumerate(results):
        if rank != dead:
            assert status == 1
        assert ("another process of this run" in error) == (rank == 0 != dead), error
    assert not (only_run(tmp_path) / "record.json").exists()
