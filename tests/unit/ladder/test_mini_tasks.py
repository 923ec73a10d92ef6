"""The mini tasks through the door that all tasks use: rows in, the real tasks' examples out."""

from dataclasses import asdict, replace
from hashlib import sha256

import pytest

from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.ladder.items import ITEM_MAKERS
from prompt_tuning.ladder.mini_tasks import MINI
from prompt_tuning.ladder.world import LADDER_WORLD
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import SPLITS

EMBEDDED = DataSpec("embedded")
SHA256 = {  # of the test rows, as committed records have it
    "mini_squad": "a24494868441d00b6c4d714ae94e445226c8b4ea1b91b680e751029fcedb5f80",
    "mini_squad_b": "fd47500e1180423d57197c4f70b1ccfc6ace2ace96108a9d59aff9c577d021cc",
    "mini_sst2": "9b654480909606a2cb85f104d54686335738d4ac8a3d22656bdf8746bd0b1386",
    "mini_boolq": "f580823ce51a43216de516712f240126817ee2d3535f83a42c26baf778f59628",
    "mini_boolq_b": "5199e3a7e728fc933d8a1f0576b64b51627784f95bb57a41cc7e77889889b9ac",
    "mini_rte": "86f2a284de79c6e80a73eaf53ebf0e223e512f0d61fbe4e326a7e76eba4f2bc6",
    "mini_wic": "7ab2a9e8cee2e1be4b54fde267da501011478baef96a10d12292bbcd3e2cb048",
    "mini_copa": "9c2d60a61375d807d360a27773ddcb248874786104aa8a74e09510491b569567",
}
every_task = pytest.mark.parametrize("task", MINI, ids=lambda task: task.name)


def test_every_item_of_the_world_is_of_a_task():
    assert {f"mini_{name}" for name in ITEM_MAKERS} == {*SHA256} == {task.name for task in MINI}


@every_task
def test_a_mini_task_is_the_real_one_with_rows_of_its_own(task):
    """The same text format, verbalizers, parser and metrics: the very objects."""
    real = TASKS[task.name.removeprefix("mini_").removesuffix("_b")]
    own = {"name": real.name, "about": real.about, "origin": real.origin, "report_split": None}
    assert replace(task, **own) == real
    assert task.report_split == "test"


@every_task
def test_rows_are_those_of_the_committed_records(task):
    assert load_split(task, "test", EMBEDDED).provenance["sha256"] == SHA256[task.name]


def test_the_rows_of_no_split_have_changed():
    """Committed scores rest on those that a prompt was trained on and its step chosen on, too."""
    splits = [load_split(task, split, EMBEDDED) for task in MINI for split in SPLITS]
    digests = "".join(split.provenance["sha256"] for split in splits)
    expected = "91c6831837ab31b860ca0272255c019a175240147500f5d0ab646cf9a7043b7c"
    assert sha256(digests.encode()).hexdigest() == expected


def test_the_record_says_which_world():
    split = load_split(TASKS["mini_rte"], "test", EMBEDDED)
    assert split.provenance == {
        "generator": "prompt_tuning.world",
        "version": 1,
        "world": asdict(LADDER_WORLD),
        "sha256": SHA256["mini_rte"],
        "source": "embedded",
        "split": "test",
        "num_rows": len(split.examples),
        "num_examples": len(split.examples),
        "dropped": {},
    }
