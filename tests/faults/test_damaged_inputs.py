"""Damaged copies of what a user gives: rows, tables, tasks, checkpoints, prompts, records."""

import json
import random
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from faults.damages import DAMAGES
from quick_runs import ON_LADDER, SMALLEST, status_of, write_official

from prompt_tuning.ladder.shipped_models import embedded_folder
from prompt_tuning.prompt_files import load_prompt, save_peft, save_prompt
from prompt_tuning.report.paper import paper_dir

TRAIN = [
    *("train", "model.path=model", "recipe=mini", "variant=lm_adapted"),
    *("tracking=none", "training.num_steps=1"),
    *("evaluation.every_steps=1", "evaluation.num_examples=4", "training.batch_size=4"),
    "evaluation.report_split=null",
]
OWN = [*TRAIN, "--config-dir", ".", "task=topics"]
MINI = [*TRAIN, "task=mini_sst2"]
EVALUATE = ["evaluate", "tracking=none", "evaluation.num_examples=4"]
PREDICT = ["predict", "prompt=p.safetensors", "output=answers.jsonl"]
ON = ["model=ladder_100k", "variant=lm_adapted", "task=mini_sst2"]
PEFT = [*EVALUATE, "prompt=peft"]
TEXT = [
    *("pretrain", *SMALLEST, "vocabulary.path=pieces.model", "corpus.text=text.txt"),
    *("corpus.held_out_fraction=0.2", "objective.inputs_length=24", "pretraining.batch_size=2"),
    *("pretraining.num_steps=1", "evaluation.every_steps=1", "evaluation.num_segments=2"),
    "tracking=none",
]
REPORT = ["report", "output_dir=site", "experiment=table5_ladder"]
# A file -> a command that reads it.
COMMANDS = {
    "scored.jsonl": ["score", "task=rte", "rows=scored.jsonl"],
    "data/RTE/val.jsonl": ["show", "task=rte", "rows=data/RTE/val.jsonl"],
    "rows.jsonl": [*PREDICT, "input=rows.jsonl"],
    "rows.csv": [*PREDICT, "input=rows.csv"],
    "data/RTE/train.jsonl": [*TRAIN, "task=rte", "data.dir=data"],
    "data/GLUE/SST-2/dev.tsv": [*EVALUATE, "prompt=p.safetensors", "task=sst2", "data.dir=data"],
    "task/topics.yaml": OWN,
    "train.csv": OWN,
    "model/config.json": MINI,
    "model/model.safetensors": MINI,
    "model/spiece.model": MINI,
    "model/tokenizer_config.json": MINI,
    "p.safetensors": [*EVALUATE, "prompt=p.safetensors", "task=mini_sst2"],
    "peft/adapter_config.json": PEFT,
    "peft/adapter_model.safetensors": PEFT,
    "p.npy": [*EVALUATE, *ON, "prompt=p.npy"],
    "pieces.model": TEXT,
    "text.txt": TEXT,
    "site/runs/fig3a_ladder.jsonl": REPORT,
    "site/runs/answers/fig3a_ladder.jsonl": [*REPORT, "commit_records=true"],
}
# What an error has instead of a file's name: it may be about all that there is of a kind.
INSTEAD = {"task/topics.yaml": "task", "train.csv": "task topics", "text.txt": "documents"}
FLIPS = 12  # of each file
QUICK = {  # what is damaged in every run of the tests
    ("scored.jsonl", "truncated"),
    ("rows.jsonl", "truncated"),
    ("task/topics.yaml", "no text"),
    ("task/topics.yaml", "deep"),
    ("model/config.json", "deep"),
    ("peft/adapter_config.json", "wrong type"),
    ("site/runs/fig3a_ladder.jsonl", "truncated"),
    ("site/runs/fig3a_ladder.jsonl", "random"),
}
CheckRead = Callable[..., None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with all of these files as they should be."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(embedded_folder("embedded:ladder_100k/6000"), folder / "model")
    shutil.copy(folder / "model" / "spiece.model", folder / "pieces.model")
    weight = np.random.default_rng(0).random((5, 32), np.float32)
    save_prompt(folder / "p.safetensors", weight, ON_LADDER)
    np.save(folder / "p.npy", weight)
    for name in ("peft", "data/GLUE/SST-2", "task", "site/runs/answers"):
        (folder / name).mkdir(parents=True)
    save_peft(folder / "peft", load_prompt(folder / "p.safetensors"), "google/t5-small", 2)
    for split in ("train", "val"):
        write_official(folder / "data" / "RTE", split)
    rows = (folder / "data" / "RTE" / "val.jsonl").read_text().splitlines()
    examples = [[f"row {number}", "ab"[number % 2]] for number in range(20)]
    lines_of = {
        "data/GLUE/SST-2/dev.tsv": ["sentence\tlabel", *(f"row {n}\t{n % 2}" for n in range(9))],
        "scored.jsonl": [f'{{"row": {row}, "prediction": "entailment"}}' for row in rows],
        "rows.jsonl": [json.dumps({"inputs": f"x {number}"}) for number in range(9)],
        "rows.csv": ["inputs,id", *(f"x {number},{number}" for number in range(9))],
        "train.csv": ["text,topic", *map(",".join, examples)],
        "task/topics.yaml": [
            *("name: topics", 'inputs: "{text}"', "label: topic", "files: {train: train.csv}")
        ],
        "text.txt": [f"the cat number {number} sat .\n" for number in range(60)],
    }
    for name, lines in lines_of.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    committed = paper_dir().parent / "runs" / "table5_ladder.jsonl"
    shutil.copy(committed, folder / "site" / "runs" / "fig3a_ladder.jsonl")
    answers = {"name": "a", "split": "test", "answers": "eJw="}
    (folder / "site/runs/answers/fig3a_ladder.jsonl").write_text(json.dumps(answers) + "\n")
    return folder


@pytest.fixture
def place(whole, tmp_path, monkeypatch):
    """A copy of `whole`, in which the test is."""
    monkeypatch.chdir(shutil.copytree(whole, tmp_path / "place"))
    return Path.cwd()


@pytest.fixture
def check_read(place, monkeypatch, capsys):
    """The command that reads a file ends in 0 or 2 and, if `is_told`, in 2 says which file it is.

    An answer for every line of input that there is.
    """

    def check(name, *, is_told):
        status = status_of(monkeypatch, place, *COMMANDS[name])
        said = capsys.readouterr().err
        assert status in (0, 2), said
        if name == "rows.jsonl":
            asked = Path(name).read_bytes().removesuffix(b"\n")
            num_lines = asked.count(b"\n") + 1 if asked else 0
            answers = Path("answers.jsonl").read_bytes().split(b"\n")[:-1]
            assert len([json.loads(line) for line in answers]) == num_lines
            assert status == (2 if any(b'"error"' in line for line in answers) else 0)
        elif status == 2 and is_told:
            assert Path(name).name in said or INSTEAD.get(name, "?") in said

    return check


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.faults)
        for case in product(COMMANDS, DAMAGES)
    ],
)
def test_a_damaged_copy_of_any_file_is_read_or_named(name, damage, check_read):
    """Of rows, those that can be answered are; of all else, nothing is made of a damaged file."""
    DAMAGES[damage](Path(name))
    check_read(name, is_told=damage != "flipped")


@pytest.mark.faults
@pytest.mark.parametrize("number", range(FLIPS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_flipped_byte_of_any_file_breaks_no_command(name, number, check_read):
    """What a letter of a text was cannot be known; a traceback or a lost line can be avoided."""
    rng = random.Random(f"{name} {number}")
    content = bytearray(Path(name).read_bytes())
    start = min(len(content), 2000) if number % 2 else len(content)  # headers half of the time
    content[rng.randrange(start)] ^= 1 << rng.randrange(8)
    Path(name).write_bytes(content)
    check_read(name, is_told=False)


def test_the_files_are_read_as_they_are(place, monkeypatch):
    """Else the tests above would find faults in nothing."""
    for command in {tuple(command): None for command in COMMANDS.values()}:
        (place / "answers.jsonl").unlink(missing_ok=True)
        assert status_of(monkeypatch, place, *command) == 0


def test_a_report_passes_by_runs_that_it_is_not_about(place, monkeypatch):
    """An evaluation has no seed, a pre-training no task; both stand beside the runs."""
    for command in (COMMANDS["p.safetensors"], [*TEXT, "output_dir=runs"], REPORT):
        assert status_of(monkeypatch, place, *command) == 0
