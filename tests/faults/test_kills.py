"""Commands that are killed (SIGKILL) and started again: what is left is what would have been.

A command runs in a fork (forks.py) that has imported everything already: a start costs
milliseconds, and a moment lies in the work and not in its imports.
"""

import json
import random
import shutil
import signal
import time
from dataclasses import dataclass
from functools import partial

import forks
import pytest
from faults.changes import count_changes
from quick_runs import SMALLEST, write_lines

from prompt_tuning.ladder.shipped_models import embedded_folder

MODEL = "model=ladder_100k"
RUN = [
    *("train", MODEL, "tracking=none", "output_dir=out", "training.batch_size=4"),
    *("training.num_steps=4", "evaluation.every_steps=2", "evaluation.num_examples=8"),
    *("evaluation.report_split=null", "optimizer.learning_rate=0.3"),
]
USE = ["task=mini_sst2", "tracking=none", "output_dir=out"]
TEXT = [
    *("corpus.text=text.txt", "corpus.held_out_fraction=0.2", "objective.inputs_length=24"),
    *("pretraining.batch_size=2", "pretraining.num_steps=4", "evaluation.every_steps=2"),
    *("evaluation.num_segments=4", "pretraining.save_at_steps=[2]", "tracking=none"),
]
TINY = [*SMALLEST, "vocabulary.num_pieces=150"]
COMMANDS = {
    "train": [*RUN, "seed=7", "evaluation.before_training=true"],
    "model tuning": [*RUN, "method=model_tuning"],
    "prompt design": [*RUN, "method=prompt_design", "prompt.num_shots=2"],
    "evaluate": ["evaluate", "prompt=a.safetensors", "evaluation.num_examples=20", *USE],
    "ensemble": [
        *("ensemble", "prompts=[a.safetensors,b.safetensors]", "evaluation.num_examples=20"),
        *USE,
    ],
    "inspect": ["inspect", "prompt=a.safetensors", "num_random_draws=2", *USE],
    "pretrain": ["pretrain", *TINY, *TEXT],
    "adapt": ["adapt", f"checkpoint={embedded_folder('embedded:ladder_100k/6000')}", *TEXT],
    "predict": [
        *("predict", "prompt=a.safetensors", "input=rows.jsonl", "output=answers.jsonl"),
        "rows_in_memory=4",
    ],
    "bench": [
        *("bench", "size=nano", "batch_size=2", "num_batches=1", "num_rounds=1", "memory=false"),
        *("prompt_length=4", "part=serving", "num_prompts=2", "max_target_tokens=2"),
    ],
    "report": ["report", "experiment=table4", "runs=out", "output_dir=site"],
    "report of runs": ["report", "experiment=table5_ladder", "runs=out", "output_dir=site"],
    "records": [
        *("report", "experiment=fig3a_ladder", "runs=out", "output_dir=site"),
        "commit_records=true",
    ],
    "export": ["export", "prompt=a.safetensors", "output=exported", "format=peft"],
    "compare": ["compare", "out/a", "out/b", "picture=picture.png"],
}
# What differs between two runs that nobody has disturbed; the checkout may change meanwhile.
OF_THE_CLOCK = (
    *("finished_at", "duration_s", "peak_memory_gib", "tokens_per_s", "train/tokens_per_s"),
    *("resumed_at_steps", "checksum", "argv", "commit", "dirty"),
)


@dataclass(frozen=True)
class Ended:
    """How a process ended, what it said, after how many seconds and changes to files."""

    status: int  # below 0: the signal that ended it
    said: str
    seconds: float
    num_changes: int


def run(folder, arguments, *, die_at=None):
    """Runs a command line in `folder`, in a process of its own.

    Args:
        folder: where it is started.
        arguments: without the program's name.
        die_at: it is killed after so many seconds or, an int, just before it makes, renames or
            removes a file for this time; None: it is not.
    """
    counter = folder.with_name(f"{folder.name}.count")
    counter.write_bytes(b"")
    watch = partial(count_changes, folder, counter, die_at if type(die_at) is int else None)
    begin = time.monotonic()
    process = forks.Started(*arguments, folder=folder, before=watch)
    if isinstance(die_at, float):
        time.sleep(die_at)
        process.kill()
    said = "".join(process.communicate(timeout=300))
    return Ended(process.returncode, said, time.monotonic() - begin, counter.stat().st_size)


def left_in(folder):
    """What a command has left behind, by file, without what the clock alone decides."""
    left = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name, content = str(path.relative_to(folder)), path.read_bytes()
        if path.name in ("lock", "log.txt") or path.name.startswith("report-"):
            left[name] = ...
        elif path.suffix == ".json" and "bench" in path.parts:
            left[name] = sorted(json.loads(content))
        elif path.suffix == ".json":
            left[name] = _without_clock(json.loads(content))
        elif path.name == "metrics.jsonl":
            left[name] = [_without_clock(json.loads(line)) for line in content.splitlines()]
        else:
            left[name] = content
    return left


def _without_clock(value):
    if isinstance(value, dict):
        return {
            key: _without_clock(part)
            for key, part in value.items()
            if not key.startswith("time/") and key not in OF_THE_CLOCK
        }
    return [*map(_without_clock, value)] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the commands read: two runs, their prompts, rows, text."""
    folder = tmp_path_factory.mktemp("kills") / "place"
    folder.mkdir()
    for seed, name in enumerate("ab"):
        ended = run(folder, [*RUN, f"seed={seed}"])
        assert ended.status == 0, ended.said
        (made,) = folder.glob(f"out/*-s{seed}-*")
        shutil.copy(made / "prompt.safetensors", folder / f"{name}.safetensors")
        made.rename(made.with_name(name))
    rows = [{"inputs": f"the mood is happy {number}", "number": number} for number in range(20)]
    write_lines(folder / "rows.jsonl", *rows)
    texts = [f"the cat number {number} sat on the mat and saw a dog .\n" for number in range(60)]
    (folder / "text.txt").write_text("\n".join(texts))
    return folder


@pytest.fixture(scope="module")
def undisturbed(place):
    """What each command leaves if nobody disturbs it, and how it ends: done when it is asked."""
    known = {}

    def ask(command):
        if command not in known:
            folder = place.with_name(f"{command}-undisturbed")
            shutil.copytree(place, folder)
            ended = run(folder, COMMANDS[command])
            assert ended.status == 0, ended.said
            known[command] = left_in(folder), ended
        return known[command]

    return ask


def check_killed(place, folder, command, moments, expected):
    """Kills a command at these moments, one after another, and lets it finish; counts the kills."""
    shutil.copytree(place, folder)
    num_killed = 0
    for moment in (*moments, None):
        ended = run(folder, COMMANDS[command], die_at=moment)
        was_killed = moment is not None and ended.status == -signal.SIGKILL
        num_killed += was_killed
        # An export that was killed when all was done is not made over another.
        is_refused = command == "export" and ended.status == 2 and (folder / "exported").is_dir()
        assert ended.status == 0 or was_killed or is_refused, (moments, ended.said)
    left = left_in(folder)
    assert [*left] == [*expected], moments
    for name, content in expected.items():
        assert left[name] == content, (name, moments)
    shutil.rmtree(folder)
    return num_killed


TRIALS = 8  # of each command
QUICK = [
    *("train", "evaluate", "ensemble", "inspect", "pretrain", "predict", "report"),
    *("export", "compare"),
]


@pytest.mark.parametrize("command", QUICK)
def test_a_killed_command_does_the_rest_when_it_is_started_again(command, place, undisturbed):
    """Killed once, just before one of its changes to files."""
    expected, ended = undisturbed(command)
    moment = random.Random(command).randint(1, ended.num_changes)
    folder = place.with_name(f"{command}-killed")
    assert check_killed(place, folder, command, [moment], expected) == 1


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_anywhere_does_the_rest_when_it_is_started_again(
    command, trial, place, undisturbed
):
    """Once to three times, after a share of its duration or before a change to its files.

    The first moments of the trials are spread over the duration, one in each part of it.
    """
    expected, ended = undisturbed(command)
    rng = random.Random(f"{command} {trial}")
    moments = [
        (trial + rng.random()) / TRIALS * ended.seconds,
        *rng.sample([rng.randint(1, ended.num_changes), rng.random() * ended.seconds], trial % 3),
    ]
    folder = place.with_name(f"{command}-{trial}")
    check_killed(place, folder, command, moments, expected)
