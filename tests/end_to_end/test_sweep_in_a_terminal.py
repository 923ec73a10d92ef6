"""What somebody sees who watches a sweep in a terminal."""

import os
import pty
import re
import sys

import pytest

QUICK = [
    *("tracking=none", "model=ladder_100k", "training.num_steps=20"),
    *("evaluation.every_steps=10", "training.batch_size=4", "evaluation.num_examples=20"),
    "evaluation.report_split=null",
]


def watched(folder, *overrides):
    """Everything that a sweep writes to a pseudo-terminal of its own, without control sequences."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"OMP_NUM_THREADS": "1", "COLUMNS": "160", "TERM": "xterm"}
        command = [sys.executable, "-m", "prompt_tuning.cli", "train", "-m", *overrides, *QUICK]
        os.execv(sys.executable, command)
    seen = b""
    try:
        while part := os.read(terminal, 65536):
            seen += part
    except OSError:  # Linux's end of file: the child has closed its side
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert status == 0, text
    return re.sub("\r+\n?", "\n", text)


def test_four_runs_under_two_processes_are_counted_timed_and_compared(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install '.[parallel]'")
    own = ["task=mini_sst2,mini_rte", "prompt.length=1,2", "seed=0", "hydra/launcher=processes"]
    text = watched(tmp_path, *own)
    lines = [line.rstrip() for line in text.splitlines()]
    begun = [line for line in lines if line.startswith("run ")]
    assert sorted(int(line.split()[1]) for line in begun) == [*range(1, 5)]
    assert all(re.search(r"run \d of 4: task=\w+ prompt.length=\d", line) for line in begun)
    assert re.search(r"\d done, about \d+ (s|min) left\)", begun[-1])
    assert sum(bool(re.match(r"\d/4  step +20 ", line)) for line in lines) == 4
    head = next(i for i, line in enumerate(lines) if line.startswith("task"))
    assert lines[head].split() == ["task", "prompt.length", "validation", "sd", "runs"]
    rows = [line.split()[:2] for line in lines[head + 1 : head + 5]]
    assert rows == [[task, length] for task in ("mini_sst2", "mini_rte") for length in "12"]
    closing = [line.split()[0] for line in lines[head + 5 :] if line]
    assert closing == ["best:", "best:", "next:"]


def test_a_line_below_the_bars_says_how_far_the_sweep_is(tmp_path):
    text = watched(tmp_path, "task=mini_rte", "seed=0,1")
    assert text.count("run 1 of 2: seed=0") > 1, "said once, and drawn again below the bars"
    assert len(re.findall(r"run 2 of 2: seed=1 \(1 done, about \d+ s left\)", text)) > 1
